//! `customCallingContext`: headers that whoever calls wants seen on the other side.

use serde_json::{Map, Value, json};

use crate::acs::body::{Fields, Invalid};

/// "5 SIP headers plus User-To-User, 1000 VoIP headers".
const MOST_SIP: usize = 6;
const MOST_VOIP: usize = 1_000;
const MOST_KEY: usize = 64;
const MOST_SIP_VALUE: usize = 256;
const MOST_VOIP_VALUE: usize = 1_024;

/// `customCallingContext`: headers for the other side, in the event's `customContext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomContext {
    /// `sipHeaders`.
    pub sip: Map<String, Value>,
    /// `voipHeaders`.
    pub voip: Map<String, Value>,
}

impl CustomContext {
    /// `{"sipHeaders","voipHeaders"}`, as events and the store have it.
    pub fn to_json(&self) -> Value {
        json!({ "sipHeaders": self.sip, "voipHeaders": self.voip })
    }

    /// What [`CustomContext::to_json`] wrote.
    pub fn from_json(value: &Value) -> Option<Self> {
        let headers = |name: &str| value.get(name)?.as_object().cloned();
        Some(Self {
            sip: headers("sipHeaders")?,
            voip: headers("voipHeaders")?,
        })
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.sip.is_empty() && self.voip.is_empty()
    }

    /// Reads the member `customCallingContext` of a body.
    pub(super) fn of(fields: &Fields<'_>) -> Result<Self, Invalid> {
        const NAME: &str = "customCallingContext";
        let Some(context) = fields.get(NAME) else {
            return Ok(Self::default());
        };
        let context = Fields::at(context, NAME)?;
        Ok(Self {
            sip: headers(&context, "sipHeaders", MOST_SIP, MOST_SIP_VALUE)?,
            voip: headers(&context, "voipHeaders", MOST_VOIP, MOST_VOIP_VALUE)?,
        })
    }
}

fn headers(
    context: &Fields<'_>,
    name: &str,
    most: usize,
    longest: usize,
) -> Result<Map<String, Value>, Invalid> {
    let headers = match context.get(name) {
        None => return Ok(Map::new()),
        Some(Value::Object(headers)) => headers,
        Some(_) => return Err(context.wrong(name, "must be an object")),
    };
    if headers.len() > most {
        return Err(context.wrong(name, &format!("has more than {most} members")));
    }
    for (key, value) in headers {
        let fits = |value: &str| value.chars().count() <= longest;
        if key.chars().count() > MOST_KEY || !value.as_str().is_some_and(fits) {
            let problem = format!("may have keys of {MOST_KEY} and texts of {longest} characters");
            return Err(context.wrong(name, &problem));
        }
    }
    Ok(headers.clone())
}
