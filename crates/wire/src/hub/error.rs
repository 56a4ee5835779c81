//! Errors of the hub data plane: `<Error><Code>404</Code><Detail>…</Detail></Error>`.
//!
//! Clients show `Detail` alone and read it only from XML; .NET wants `Code` first and finds a `SubCode=NNNNN.` in the
//! detail. Shape and texts are those of the recordings in `Azure/azure-notificationhubs-dotnet` (`MockData/*.http`).

use quick_xml::escape::{escape, unescape};
use time::OffsetDateTime;

/// The content type of [`body`].
pub const CONTENT_TYPE: &str = "application/xml; charset=utf-8";

/// The body of an error answer. A `code` that has a sub-code in .NET's enumeration is announced by it.
pub fn body(
    status: u16,
    code: &str,
    message: &str,
    tracking_id: &str,
    at: OffsetDateTime,
) -> String {
    let sub_code = sub_code(code).map_or_else(String::new, |number| format!("SubCode={number}. "));
    let detail = format!(
        "{sub_code}{message}TrackingId:{tracking_id},TimeStamp:{}",
        stamp(at)
    );
    format!(
        "<Error><Code>{status}</Code><Detail>{}</Detail></Error>",
        escape(xml_text(&detail))
    )
}

/// What an error answer of a hub says; nothing if it says it in another form.
pub fn detail(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<Detail>")?;
    let (detail, _) = rest.split_once("</Detail>")?;
    let detail = unescape(detail).ok()?;
    // The tracking id and the time are for whoever runs that hub.
    Some(detail.split("TrackingId:").next()?.trim().to_owned())
}

/// The number that .NET's `ExceptionErrorCodes` has for a code.
pub fn sub_code(code: &str) -> Option<u32> {
    SUB_CODES
        .iter()
        .find(|(name, _)| *name == code)
        .map(|(_, number)| *number)
}

/// As the service writes times here, in the style of US English: `11/7/2018 12:18:37 AM`.
fn stamp(at: OffsetDateTime) -> String {
    let (hour, half) = match at.hour() {
        hour @ 0..12 => (hour, "AM"),
        hour => (hour - 12, "PM"),
    };
    let hour = if hour == 0 { 12 } else { hour };
    let (month, day, year) = (u8::from(at.month()), at.day(), at.year());
    format!(
        "{month}/{day}/{year} {hour}:{:02}:{:02} {half}",
        at.minute(),
        at.second()
    )
}

/// XML 1.0 has no way to write most control characters; what a caller sent may be quoted in a message.
fn xml_text(text: &str) -> String {
    text.replace(
        |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'),
        " ",
    )
}

const SUB_CODES: &[(&str, u32)] = &[
    ("BadRequest", 40000),
    ("Unauthorized", 40100),
    ("MissingToken", 40102),
    ("InvalidSignature", 40103),
    ("InvalidAudience", 40104),
    ("MalformedToken", 40105),
    ("ExpiredToken", 40106),
    ("AudienceNotFound", 40107),
    ("Forbidden", 40300),
    ("EndpointNotFound", 40400),
    ("NamespaceNotFound", 40402),
    ("ResourceNotFound", 40403),
    ("Conflict", 40900),
    ("EntityGone", 41000),
    ("Throttled", 42900),
    ("InternalServerError", 50000),
    ("ServerBusy", 50004),
    ("GatewayTimeout", 50400),
];

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_recorded_text_is_written() {
        let at = datetime!(2018-11-07 00:18:37 UTC);
        assert_eq!(
            body(
                404,
                "InstallationNotFound",
                "Installation not found.",
                "cc8c4f9b_G3",
                at
            ),
            "<Error><Code>404</Code><Detail>Installation not found.TrackingId:cc8c4f9b_G3,TimeStamp:11/7/2018 12:18:37 AM</Detail></Error>"
        );
        assert!(
            body(409, "Conflict", "Conflict.", "t", at)
                .contains("<Detail>SubCode=40900. Conflict.TrackingId:t,")
        );
    }

    #[test]
    fn the_detail_of_an_answer_is_read_back() {
        let at = datetime!(2018-11-07 00:18:37 UTC);
        let text = body(404, "x", "No hub '<a>'.", "t", at);
        assert_eq!(detail(&text).as_deref(), Some("No hub '<a>'."));
        assert_eq!(detail("<html>"), None);
        assert_eq!(detail("<Detail>&bad;</Detail>"), None);
    }

    #[test]
    fn noon_and_evening_are_pm() {
        assert_eq!(
            stamp(datetime!(2026-01-02 12:00:00 UTC)),
            "1/2/2026 12:00:00 PM"
        );
        assert_eq!(
            stamp(datetime!(2026-01-02 23:05:09 UTC)),
            "1/2/2026 11:05:09 PM"
        );
    }

    #[test]
    fn quoted_input_cannot_break_the_document() {
        let text = body(
            400,
            "x",
            "'<a>&\u{1}\n'",
            "t",
            datetime!(2026-01-02 12:00:00 UTC),
        );
        assert!(text.contains("&lt;a&gt;&amp;  "), "{text}");
    }
}
