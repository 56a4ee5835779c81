//! Text inside the XML that the hub writes.

use quick_xml::escape::partial_escape;

/// The namespace of everything but errors.
pub(super) const SERVICE_BUS: &str =
    "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect";
/// The namespace of `i`.
pub(super) const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Appends `<name>text</name>`; XML 1.0 has no way to write most control characters, so they become blanks.
pub(super) fn element(xml: &mut String, name: &str, text: &str) {
    let text = text.replace(
        |c: char| {
            (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}')
        },
        " ",
    );
    for part in ["<", name, ">", &partial_escape(&*text), "</", name, ">"] {
        xml.push_str(part);
    }
}
