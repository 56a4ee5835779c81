//! ProtoJSON against the discovery document of `fcm:v1`: names, types and enums, with the texts Google's front end has
//! for what is wrong.

use std::collections::HashMap;

use serde_json::Value;

use crate::fcm::json::Json;

/// The message types of the service.
#[derive(Debug)]
pub struct Schema(HashMap<String, Message>);

type Message = HashMap<String, (String, Field)>;

#[derive(Clone, Debug)]
struct Field {
    shape: Shape,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    One,
    List,
    Map,
}

#[derive(Clone, Debug)]
enum Kind {
    Text,
    Bool,
    Int32,
    Float,
    Duration,
    Timestamp,
    /// The proto name of the enum, and its values.
    Enum(String, Vec<String>),
    Message(String),
    /// `google.protobuf.Struct`: any object.
    Struct,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path in proto names; empty at the top.
    pub field: String,
    /// What Google says about it.
    pub description: String,
}

impl Schema {
    /// The schema of Google's discovery document, which lies in `fixtures/`.
    pub fn load() -> Result<Self, serde_json::Error> {
        let document = include_str!("../../../../fixtures/push/fcm-v1-discovery.json");
        let document: Value = serde_json::from_str(document)?;
        let types = document["schemas"].as_object().into_iter().flatten();
        Ok(Self(
            types
                .map(|(name, schema)| (name.clone(), message(name, schema)))
                .collect(),
        ))
    }

    /// Checks a `SendMessageRequest`, and gives it back with every field under its camelCase name.
    pub fn check_send(&self, body: &Json) -> Result<Json, Vec<Violation>> {
        let mut violations = Vec::new();
        let body = self.check_message("SendMessageRequest", body, "", &mut violations);
        match violations.is_empty() {
            true => Ok(body),
            false => Err(violations),
        }
    }

    fn check_message(
        &self,
        name: &str,
        value: &Json,
        path: &str,
        wrong: &mut Vec<Violation>,
    ) -> Json {
        let Json::Object(members) = value else {
            wrong.push(invalid_value(path, &format!("{PACKAGE}{name}"), value));
            return Json::Null;
        };
        let mut checked: Vec<(String, Json)> = Vec::new();
        for (given, value) in members {
            let Some((field_name, field)) = self.0.get(name).and_then(|it| it.get(given)) else {
                wrong.push(unknown_name(given, path, "Cannot find field."));
                continue;
            };
            // "null is an accepted value for all field types and treated as the default value."
            if *value == Json::Null {
                continue;
            }
            let place = join(path, &snake_case(field_name));
            if let Some(first) = already_set(name, field_name, &checked) {
                wrong.push(first);
            }
            let value = self.check_field(field, given, value, path, &place, wrong);
            checked.retain(|(other, _)| other != field_name);
            checked.push((field_name.clone(), value));
        }
        Json::Object(checked)
    }

    fn check_field(
        &self,
        field: &Field,
        given: &str,
        value: &Json,
        parent: &str,
        place: &str,
        wrong: &mut Vec<Violation>,
    ) -> Json {
        match (field.shape, value) {
            (Shape::One, Json::List(_)) => {
                let why = "Proto field is not repeating, cannot start list.";
                wrong.push(unknown_name(given, parent, why));
                Json::Null
            }
            (Shape::One, value) => self.check_value(&field.kind, value, place, wrong),
            (Shape::List, Json::List(values)) => {
                let each = values.iter().enumerate();
                let each = each.map(|(at, it)| {
                    self.check_value(&field.kind, it, &format!("{place}[{at}]"), wrong)
                });
                Json::List(each.collect())
            }
            // A single value is taken for a list of one.
            (Shape::List, value) => {
                Json::List(vec![self.check_value(&field.kind, value, place, wrong)])
            }
            (Shape::Map, Json::Object(members)) => {
                let each = members.iter().enumerate().map(|(at, (key, it))| {
                    let place = format!("{place}[{at}].value");
                    (
                        key.clone(),
                        self.check_value(&field.kind, it, &place, wrong),
                    )
                });
                Json::Object(each.collect())
            }
            (Shape::Map, Json::List(_)) => {
                let why = "Proto field is not repeating, cannot start list.";
                wrong.push(unknown_name(given, parent, why));
                Json::Null
            }
            (Shape::Map, value) => {
                wrong.push(invalid_value(place, "map", value));
                Json::Null
            }
        }
    }

    fn check_value(
        &self,
        kind: &Kind,
        value: &Json,
        place: &str,
        wrong: &mut Vec<Violation>,
    ) -> Json {
        if let Kind::Message(name) = kind {
            return self.check_message(name, value, place, wrong);
        }
        if kind.takes(value) {
            return value.clone();
        }
        let scalar = !matches!(kind, Kind::Struct);
        wrong.push(match value {
            Json::Object(_) if scalar => Violation {
                field: place.to_owned(),
                description: format!(
                    "Invalid value at '{place}' ({}), Starting an object on a scalar field",
                    kind.type_name()
                ),
            },
            _ => invalid_value(place, &kind.type_name(), value),
        });
        Json::Null
    }
}

impl Kind {
    fn of(field: &Value, message: &str, field_name: &str) -> Self {
        let text = |name: &str| field[name].as_str().unwrap_or_default();
        if let Some(name) = field["$ref"].as_str() {
            return Self::Message(name.to_owned());
        }
        match (text("type"), text("format")) {
            ("boolean", _) => Self::Bool,
            ("integer", _) => Self::Int32,
            ("number", _) => Self::Float,
            ("object" | "any", _) => Self::Struct,
            (_, "google-duration") => Self::Duration,
            (_, "google-datetime") => Self::Timestamp,
            _ => match field["enum"].as_array() {
                Some(values) => {
                    let values = values.iter().filter_map(Value::as_str).map(str::to_owned);
                    Self::Enum(enum_name(message, field_name), values.collect())
                }
                None => Self::Text,
            },
        }
    }

    fn takes(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Text, Json::Text(_))
            | (Self::Bool, Json::Bool(_))
            | (Self::Float, Json::Number(_))
            | (Self::Struct, Json::Object(_)) => true,
            (Self::Bool, Json::Text(text)) => text == "true" || text == "false",
            (Self::Int32, Json::Number(number)) => {
                let whole = |it: f64| {
                    it.fract() == 0.0 && f64::from(i32::MIN) <= it && it <= f64::from(i32::MAX)
                };
                number.as_f64().is_some_and(whole)
            }
            (Self::Int32, Json::Text(text)) => text.parse::<i32>().is_ok(),
            (Self::Float, Json::Text(text)) => text.parse::<f64>().is_ok(),
            (Self::Duration, Json::Text(text)) => parse_duration(text).is_some(),
            (Self::Timestamp, Json::Text(text)) => is_timestamp(text),
            // FCM documents "normal" and "high" beside the names of the priority.
            (Self::Enum(name, values), Json::Text(text)) => values
                .iter()
                .any(|it| it == text || (name == PRIORITY && it.to_ascii_lowercase() == *text)),
            (Self::Enum(_, values), Json::Number(number)) => number
                .as_u64()
                .is_some_and(|at| (at as usize) < values.len()),
            _ => false,
        }
    }

    fn type_name(&self) -> String {
        match self {
            Self::Text => "TYPE_STRING".to_owned(),
            Self::Bool => "TYPE_BOOL".to_owned(),
            Self::Int32 => "TYPE_INT32".to_owned(),
            Self::Float => "TYPE_FLOAT".to_owned(),
            Self::Duration => "type.googleapis.com/google.protobuf.Duration".to_owned(),
            Self::Timestamp => "type.googleapis.com/google.protobuf.Timestamp".to_owned(),
            Self::Struct => "type.googleapis.com/google.protobuf.Struct".to_owned(),
            Self::Enum(name, _) | Self::Message(name) => format!("{PACKAGE}{name}"),
        }
    }
}

/// A duration string: "ends in the suffix "s" … preceded by the number of seconds, with nanoseconds expressed as
/// fractional seconds". Whole seconds, rounded down, as FCM takes a TTL.
pub fn parse_duration(text: &str) -> Option<i64> {
    let number = text.strip_suffix('s')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    if !digits(unsigned) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    whole.parse().ok()
}

fn is_timestamp(text: &str) -> bool {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).is_ok()
}

fn message(message: &str, schema: &Value) -> Message {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut names = Message::new();
    for (name, field) in fields {
        let (shape, inner) = match field["type"].as_str() {
            Some("array") => (Shape::List, &field["items"]),
            Some("object") if field["additionalProperties"]["type"] == "string" => {
                (Shape::Map, &field["additionalProperties"])
            }
            _ => (Shape::One, field),
        };
        let kind = Kind::of(inner, message, name);
        for spelling in [name.clone(), snake_case(name)] {
            names.insert(
                spelling,
                (
                    name.clone(),
                    Field {
                        shape,
                        kind: kind.clone(),
                    },
                ),
            );
        }
    }
    names
}

/// The enums of the API have names that the discovery document leaves out.
fn enum_name(message: &str, field: &str) -> String {
    match (message, field) {
        ("AndroidConfig", "priority") => PRIORITY.to_owned(),
        (message, field) => {
            let (first, rest) = field.split_at(field.len().min(1));
            format!("{message}.{}{rest}", first.to_ascii_uppercase())
        }
    }
}

/// "target" is the one `oneof` of a message.
fn already_set(message: &str, field: &str, checked: &[(String, Json)]) -> Option<Violation> {
    const TARGETS: [&str; 4] = ["fid", "token", "topic", "condition"];
    let is_target = |name: &str| message == "Message" && TARGETS.contains(&name);
    let taken = checked
        .iter()
        .any(|(name, _)| is_target(name) && name != field);
    (is_target(field) && taken).then(|| Violation {
        field: "message".to_owned(),
        description: format!(
            "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{field}'"
        ),
    })
}

fn unknown_name(name: &str, path: &str, why: &str) -> Violation {
    let at = if path.is_empty() {
        String::new()
    } else {
        format!(" at '{path}'")
    };
    Violation {
        field: path.to_owned(),
        description: format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: {why}"),
    }
}

fn invalid_value(place: &str, type_name: &str, value: &Json) -> Violation {
    Violation {
        field: place.to_owned(),
        description: format!("Invalid value at '{place}' ({type_name}), {value}"),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

const PRIORITY: &str = "AndroidConfig.AndroidMessagePriority";
const PACKAGE: &str = "type.googleapis.com/google.firebase.fcm.v1.";

#[cfg(test)]
mod tests;
