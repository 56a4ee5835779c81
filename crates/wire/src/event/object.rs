//! A JSON object whose members are kept as they were written, in their order.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object; no name stands twice.
#[derive(Debug, Default)]
pub(super) struct Object<'b>(pub(super) Vec<(Cow<'b, str>, Cow<'b, RawValue>)>);

impl Object<'_> {
    /// The member `name`; one that is null counts as absent.
    pub(super) fn member(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = self.0.iter().find(|(own, _)| own == name)?;
        (value.get() != "null").then_some(value)
    }

    /// The member `name` if it is a text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.member(name)?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }
}

impl<'b> Deserialize<'b> for Object<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'b> Visitor<'b> for Members {
            type Value = Object<'b>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Object<'b>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry::<Name<'b>, &RawValue>()? {
                    if members.iter().any(|(own, _)| *own == name) {
                        return Err(A::Error::custom(format_args!("'{name}' stands twice")));
                    }
                    members.push((name, Cow::Borrowed(value)));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A name is borrowed unless it is escaped; a plain `Cow` would always be copied.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'b>(#[serde(borrow)] Cow<'b, str>);
