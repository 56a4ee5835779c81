//! Bodies as ARM reads them: JSON, and everything Newtonsoft's parser lets pass.
//!
//! armclient sends the text typed at a prompt unchanged, so the well-known link command arrives with single-quoted
//! strings. Accepted beside JSON: single quotes, unquoted keys, comments, trailing commas, a byte-order mark.
//! Property names are compared without regard to case, as Newtonsoft does.

use serde_json::{Map, Value};

/// How deep a lenient body may nest: the lenient parser recurses.
const MAX_DEPTH: usize = 32;

/// Why a body is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("the body is empty")]
    Empty,
    /// Bytes that are not UTF-8.
    #[error("the body is not UTF-8")]
    Encoding,
    /// More than 32 levels.
    #[error("the body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Neither JSON nor its lenient form.
    #[error("the body is not JSON: {0}")]
    Syntax(String),
    /// JSON, but a string, number or list.
    #[error("the body must be a JSON object")]
    NotAnObject,
}

/// The object in `body`.
pub fn parse(body: &[u8]) -> Result<Map<String, Value>, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        return Err(Error::Empty);
    }
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) if depth(text) > MAX_DEPTH => return Err(Error::TooDeep),
        Err(_) => serde_json5::from_str(text).map_err(|error| syntax(&error))?,
    };
    // cmd.exe users send '{"a":1}' with the quotes, which the lenient parser reads as one string.
    let Value::Object(object) = value else {
        return Err(Error::NotAnObject);
    };
    Ok(object)
}

/// The property `name`: as written if there is one, else without regard to case.
pub fn property<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The first line of the parser's message; the rest draws the body, which may hold a key.
fn syntax(error: &serde_json5::Error) -> Error {
    let serde_json5::Error::Message { location, .. } = error;
    Error::Syntax(location.as_ref().map_or_else(
        || "it does not parse".to_owned(),
        |at| format!("line {}, column {}", at.line, at.column),
    ))
}

/// The deepest nesting outside strings and comments. Reads tokens exactly as JSON5 does, so that nothing can hide
/// brackets from it that the parser would see.
fn depth(text: &str) -> usize {
    let mut deepest = 0_usize;
    let mut now = 0_usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '[' | '{' => {
                now += 1;
                deepest = deepest.max(now);
            }
            ']' | '}' => now = now.saturating_sub(1),
            '"' | '\'' => {
                while let Some(inner) = chars.next() {
                    if inner == '\\' {
                        chars.next();
                    } else if inner == c {
                        break;
                    }
                }
            }
            '/' if chars.peek() == Some(&'/') => {
                chars.find(|c| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}'));
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                while let Some(inner) = chars.next() {
                    if inner == '*' && chars.peek() == Some(&'/') {
                        chars.next();
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> Result<Value, Error> {
        parse(text.as_bytes()).map(Value::Object)
    }

    #[test]
    fn the_single_quoted_link_command_parses() {
        let body = "{'connectionString': 'Endpoint=sb://localhost/;SharedAccessKeyName=n;SharedAccessKey=a+/=','resourceId': '/subscriptions/s'}";
        assert_eq!(
            parsed(body).unwrap(),
            json!({"connectionString": "Endpoint=sb://localhost/;SharedAccessKeyName=n;SharedAccessKey=a+/=", "resourceId": "/subscriptions/s"})
        );
    }

    #[test]
    fn newtonsoft_liberties_are_taken() {
        assert_eq!(parsed("\u{feff}{a:1,}").unwrap(), json!({"a": 1}));
        assert_eq!(
            parsed("{/* c */ a: 'x' // don't [\n}").unwrap(),
            json!({"a": "x"})
        );
        assert_eq!(parsed(r"{'a':'\'\u00e9'}").unwrap(), json!({"a": "'é"}));
        assert_eq!(parsed("{'a':1,'a':2}").unwrap(), json!({"a": 2}));
        assert!(matches!(parsed("{'a':'x\ny'}"), Err(Error::Syntax(_))));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(parsed(" "), Err(Error::Empty));
        assert_eq!(parsed("'{\"a\":1}'"), Err(Error::NotAnObject));
        assert_eq!(parsed("[1]"), Err(Error::NotAnObject));
        assert_eq!(parse(&[0xff]), Err(Error::Encoding));
        let secret = parsed("{'key': secret}").unwrap_err().to_string();
        assert!(!secret.contains("secret"), "{secret}");
    }

    #[test]
    fn depth_is_refused_wherever_it_hides() {
        for before in [
            "",
            "// '\n",
            "// '\r",
            "// '\u{2028}",
            "/* ' */",
            "/**'**/",
            r"'\'',",
            "\"\\\\\",",
        ] {
            let body = format!("{{a:{before}{}", "[".repeat(100_000));
            assert_eq!(parsed(&body), Err(Error::TooDeep), "{before:?}");
        }
        assert!(parsed(&format!("{{'a':'{}'}}", "[".repeat(1_000))).is_ok());
    }

    #[test]
    fn properties_are_found_in_any_case() {
        let object = parse(b"{'ResourceID': 1, 'resourceid': 2}").unwrap();
        assert_eq!(property(&object, "resourceid"), Some(&json!(2)));
        assert_eq!(property(&object, "RESOURCEID"), Some(&json!(1)));
        assert_eq!(property(&object, "other"), None);
    }

    proptest! {
        #[test]
        fn no_text_crashes_the_parser(text in r#"([\[\]{}'":,/*\\\n\r]|//|/\*|\*/|a|1|\PC){0,400}"#) {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn repeated_pieces_do_not_crash_it(piece in r#"[\[{'"/*\\a:,\n]{1,4}"#, times in 1_usize..40_000) {
            let _ = parse(piece.repeat(times).as_bytes());
        }

        #[test]
        fn strict_json_means_the_same(key in "[a-z]{1,8}", text in "\\PC{0,40}") {
            let body = json!({ key: { "nested": [text] } });
            prop_assert_eq!(parsed(&body.to_string()).unwrap(), body);
        }
    }
}
