//! The body of a direct batch send: `multipart/mixed` with the parts `notification` and `devices`.
//!
//! Specification: "Direct Batch Send" of the Notification Hubs REST API, and what its clients write: blanks around
//! the `=` of the boundary (JavaScript), unquoted part names, headers in any order, no line break at the end, and
//! single-quoted lists (the documentation). Common multipart crates refuse the first of these.

use bytes::Bytes;

use super::message::Refused;

/// "Maximum 1000 device handles in a batch."
pub const MOST_DEVICES: usize = 1000;

/// Both parts, the payload not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The payload for all of them.
    pub notification: Bytes,
    /// The handles, in order.
    pub devices: Vec<String>,
}

impl Batch {
    /// Reads a body of the given content type.
    pub fn parse(content_type: Option<&str>, body: &Bytes) -> Result<Self, Refused> {
        let boundary = content_type.and_then(boundary).ok_or_else(|| {
            Refused::new("Content-Type", "is not multipart/mixed with a boundary")
        })?;
        let delimiter = format!("--{boundary}");
        let mut notification = None;
        let mut devices = None;
        for part in parts(body, delimiter.as_bytes()) {
            let (name, content) = named(part);
            match name.as_deref() {
                Some("notification") => notification = notification.or(Some(content)),
                Some("devices") => devices = devices.or(Some(content)),
                _ => {}
            }
        }
        let missing = |field| Refused::new(field, MISSING);
        let notification = notification.ok_or_else(|| missing("notification"))?;
        let devices = devices.ok_or_else(|| missing("devices"))?;
        Ok(Self {
            notification: body.slice_ref(notification),
            devices: handles(devices)?,
        })
    }
}

/// The service's own text.
const MISSING: &str = "Could not find a part of the multipart content supplied.";

/// The boundary of `multipart/…; boundary = "x"`.
fn boundary(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';');
    let kind = parameters.next()?.trim();
    if !kind.get(..10)?.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    parameter(parameters, "boundary").filter(|boundary| !boundary.is_empty())
}

/// The value of `name` among `a=b` and `a = "b"`.
fn parameter<'p>(parameters: impl Iterator<Item = &'p str>, name: &str) -> Option<&'p str> {
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

/// What stands between delimiter lines, without the line break that belongs to the delimiter.
fn parts<'b>(body: &'b [u8], delimiter: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    let mut rest = delimited(body, delimiter).map(|(_, rest)| rest);
    std::iter::from_fn(move || {
        let after = rest.take()?;
        if after.starts_with(b"--") {
            return None;
        }
        match delimited(after, delimiter) {
            Some((part, next)) => {
                rest = Some(next);
                Some(part)
            }
            None => Some(after),
        }
    })
}

/// Cuts at the first delimiter that begins a line.
fn delimited<'b>(text: &'b [u8], delimiter: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    if let Some(rest) = text.strip_prefix(delimiter) {
        return Some((&[], rest));
    }
    let at = text
        .windows(delimiter.len() + 1)
        .position(|window| window[0] == b'\n' && window[1..] == *delimiter)?;
    let before = &text[..at];
    let before = before.strip_suffix(b"\r").unwrap_or(before);
    Some((before, &text[at + 1 + delimiter.len()..]))
}

/// The name a part's headers give it, and its content.
fn named(part: &[u8]) -> (Option<String>, &[u8]) {
    let mut name = None;
    let mut rest = part;
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return (name, &[]);
        };
        let line = rest[..end].trim_ascii();
        rest = &rest[end + 1..];
        if line.is_empty() {
            // The first line is what is left of the delimiter's.
            if rest.len() + end + 1 == part.len() {
                continue;
            }
            return (name, rest);
        }
        let line = String::from_utf8_lossy(line);
        if let Some((key, value)) = line.split_once(':')
            && key.trim().eq_ignore_ascii_case("content-disposition")
        {
            name = parameter(value.split(';'), "name").map(str::to_ascii_lowercase);
        }
    }
}

/// A list of handles: JSON, or the documentation's `['a','b']`.
fn handles(part: &[u8]) -> Result<Vec<String>, Refused> {
    let refused = |problem: String| Refused::new("devices", problem);
    let text = std::str::from_utf8(part).map_err(|_| refused("is not UTF-8".into()))?;
    let handles: Vec<String> = match serde_json::from_str(text) {
        Ok(handles) => handles,
        Err(error) => single_quoted(text)
            .ok_or_else(|| refused(format!("is not a JSON list of handles: {error}")))?,
    };
    match handles.len() {
        0 => Err(refused("names no device".into())),
        1..=MOST_DEVICES => Ok(handles),
        count => Err(refused(format!(
            "names {count} devices; a batch takes {MOST_DEVICES}"
        ))),
    }
}

fn single_quoted(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    inner
        .split(',')
        .map(|item| {
            let handle = item.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (!handle.contains('\'')).then(|| handle.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JS: &str = "--nh-boundary-1\r\nContent-type: application/json;charset=utf-8\r\n\
        Content-Disposition: inline; name=notification\r\n\r\n{\"aps\":{\"alert\":\"hi\"}}\r\n--nh-boundary-1\r\n\
        Content-type: application/json\r\nContent-Disposition: inline; name=devices\r\n\r\n[\"tok1\",\"tok2\"]\r\n\
        --nh-boundary-1--";
    const JAVA: &str = "--nh-batch-multipart-boundary\r\nContent-Disposition: inline; name=notification\r\n\
        Content-Type: application/json; charset=UTF-8\r\n\r\n{\"aps\":{}}\r\n--nh-batch-multipart-boundary\r\n\
        Content-Disposition: inline; name=devices\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n\
        [\"t1\",\"t2\"]\r\n--nh-batch-multipart-boundary--\r\n";

    fn parse(content_type: &str, body: &str) -> Result<(String, Vec<String>), Refused> {
        Batch::parse(Some(content_type), &Bytes::copy_from_slice(body.as_bytes())).map(|batch| {
            (
                String::from_utf8_lossy(&batch.notification).into_owned(),
                batch.devices,
            )
        })
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_bodies_of_both_clients_are_read() {
        assert_eq!(
            parse("multipart/mixed; boundary = \"nh-boundary-1\"", JS),
            Ok((
                r#"{"aps":{"alert":"hi"}}"#.into(),
                strings(&["tok1", "tok2"])
            ))
        );
        let java = Ok((r#"{"aps":{}}"#.into(), strings(&["t1", "t2"])));
        for content_type in [
            "multipart/mixed; boundary=nh-batch-multipart-boundary",
            "Multipart/Mixed;charset=utf-8;Boundary=\"nh-batch-multipart-boundary\"",
        ] {
            assert_eq!(parse(content_type, JAVA), java);
            assert_eq!(parse(content_type, &JAVA.replace("\r\n", "\n")), java);
        }
    }

    #[test]
    fn parts_in_any_order_with_quoted_names_and_lists_are_read() {
        let body = "a preamble\n--b\nContent-Disposition: inline; name=\"devices\"\n\n['a' , 'b']\n--b\n\
            content-disposition: inline;name = notification\n\n{\n}\n--b--\nan epilogue";
        let both = Ok(("{\n}".into(), strings(&["a", "b"])));
        assert_eq!(parse("multipart/mixed;boundary=b", body), both);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let kind = "multipart/mixed; boundary=b";
        let devices = |list: &str| {
            format!(
                "--b\r\nContent-Disposition: inline; name=notification\r\n\r\n{{}}\r\n--b\r\n\
                 Content-Disposition: inline; name=devices\r\n\r\n{list}\r\n--b--"
            )
        };
        for (content_type, body, field) in [
            ("application/json", JS.to_owned(), "Content-Type"),
            ("multipart/mixed", JS.to_owned(), "Content-Type"),
            (kind, String::new(), "notification"),
            (kind, JS.to_owned(), "notification"),
            (kind, devices("[]"), "devices"),
            (kind, devices("{}"), "devices"),
            (kind, devices("[1]"), "devices"),
            (kind, devices("['a'b']"), "devices"),
            (kind, devices(&"[".repeat(10_000)), "devices"),
            (
                kind,
                devices(&format!("[{}\"a\"]", "\"a\",".repeat(1000))),
                "devices",
            ),
        ] {
            assert_eq!(
                parse(content_type, &body).unwrap_err().field,
                field,
                "{body:.60}"
            );
        }
        let without = devices("[]").replace("name=devices", "name=tokens");
        let refused = parse(kind, &without).unwrap_err();
        assert_eq!(refused.problem, MISSING);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(content_type in "multipart/mixed; ?boundary=\\PC{0,5}", body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Batch::parse(Some(&content_type), &Bytes::from(body));
        }

        #[test]
        fn no_pieces_panic(pieces in prop::collection::vec(
            prop::sample::select(vec![
                "--b", "--", "\r\n", "\n", "Content-Disposition: inline; name=devices", "name=notification", "[\"a\"]", "{}", ":", ";",
            ]),
            0..30,
        )) {
            let _ = parse("multipart/mixed; boundary=b", &pieces.concat());
        }

        #[test]
        fn every_handle_is_read_back(handles in prop::collection::vec("[a-zA-Z0-9:_-]{1,64}", 1..50)) {
            let list = serde_json::to_string(&handles).unwrap();
            let body = format!(
                "--b\r\nContent-Disposition: inline; name=devices\r\n\r\n{list}\r\n--b\r\n\
                 Content-Disposition: inline; name=notification\r\n\r\n{{\"aps\":{{}}}}\r\n--b--"
            );
            prop_assert_eq!(parse("multipart/mixed; boundary=b", &body).unwrap().1, handles);
        }
    }
}
