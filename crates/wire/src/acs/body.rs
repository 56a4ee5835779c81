//! JSON bodies of the Communication data plane, read field by field, so that an error names the field.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// A body or a field that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The field, e.g. `targets[2].rawId`; `body` for the whole.
    pub target: String,
    /// One sentence.
    pub message: String,
}

impl Invalid {
    /// The field `target` is wrong; `problem` continues the sentence "'target' …".
    pub fn new(target: impl Into<String>, problem: &str) -> Self {
        let target = target.into();
        let message = format!("'{target}' {problem}.");
        Self { target, message }
    }
}

/// A JSON object.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

/// Parses a body that must be one JSON object. No bytes at all count as `{}`: the official clients send
/// `Content-Length: 0` where every field is optional.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, Invalid> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| Invalid {
        target: "body".into(),
        message: format!("The body is not a JSON object: {error}."),
    })
}

impl<'a> Fields<'a> {
    /// The members of a whole body.
    pub fn of(members: &'a Map<String, Value>) -> Self {
        Self {
            members,
            path: String::new(),
        }
    }

    /// The members of an object inside a body; `path` is where it stands.
    pub fn at(value: &'a Value, path: &str) -> Result<Self, Invalid> {
        let members = value
            .as_object()
            .ok_or_else(|| Invalid::new(path, "must be an object"))?;
        Ok(Self {
            members,
            path: path.to_owned(),
        })
    }

    /// A member; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// Text of at most `max` characters.
    pub fn text(&self, name: &str, max: usize) -> Result<Option<&'a str>, Invalid> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| self.wrong(name, "must be text"))?;
        if text.chars().count() > max {
            return Err(self.wrong(name, &format!("is longer than {max} characters")));
        }
        Ok(Some(text))
    }

    /// A whole number within `range`, written as a number or, as some clients do, as text.
    pub fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Invalid> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            _ => value.as_i64(),
        };
        number
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(|| {
                let problem = format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                self.wrong(name, &problem)
            })
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Invalid> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A list.
    pub fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Invalid> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(name, "must be a list")),
        }
    }

    /// The member `name` is wrong.
    pub fn wrong(&self, name: &str, problem: &str) -> Invalid {
        let target = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Invalid::new(target, problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_body_is_an_empty_object_and_anything_else_must_be_one() {
        assert!(object(b"").unwrap().is_empty());
        assert!(object(b" \r\n").unwrap().is_empty());
        for body in ["[]", "1", "{", "\u{feff}{}", "nul"] {
            assert_eq!(object(body.as_bytes()).unwrap_err().target, "body");
        }
        assert_eq!(object(&[0xff, 0xfe]).unwrap_err().target, "body");
        assert!(object("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_wrong_field_is_named_with_its_path() {
        let body = object(br#"{"a":{"n":"7","t":1,"f":"yes"}}"#).unwrap();
        let a = Fields::at(Fields::of(&body).get("a").unwrap(), "a").unwrap();
        assert_eq!(a.integer("n", 1..=9), Ok(Some(7)));
        let small = a.integer("n", 8..=9).unwrap_err();
        assert_eq!(
            small.to_string(),
            "'a.n' must be a whole number from 8 to 9."
        );
        assert_eq!(a.text("t", 9).unwrap_err().target, "a.t");
        assert_eq!(
            a.text("f", 2).unwrap_err().message,
            "'a.f' is longer than 2 characters."
        );
        assert_eq!(a.flag("f").unwrap_err().target, "a.f");
        assert_eq!(a.list("n").unwrap_err().target, "a.n");
        assert_eq!(a.flag("missing"), Ok(None));
    }
}
