//! JSON for people: indented and coloured on a terminal, untouched for programs.

use std::io::{self, IsTerminal};

use serde_json::Value;

/// The text as standard output should show it.
pub fn pretty(text: &str) -> String {
    if !io::stdout().is_terminal() {
        return text.to_owned();
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_owned());
    }
    let mut out = String::new();
    write(&mut out, &value, 0);
    out
}

/// `: Code: message` of an error body, in the words of ARM, OAuth, or nothing.
pub fn error_of(text: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return String::new();
    };
    let (code, message) = match &value["error"] {
        Value::String(code) => (code.as_str(), value["error_description"].as_str()),
        error => (
            error["code"].as_str().unwrap_or_default(),
            error["message"].as_str(),
        ),
    };
    if code.is_empty() {
        return String::new();
    }
    format!(": {code}: {}", message.unwrap_or_default())
}

const KEY: &str = "\x1b[36m";
const TEXT: &str = "\x1b[32m";
const OTHER: &str = "\x1b[33m";
const OFF: &str = "\x1b[0m";

fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members = members.iter().map(|(key, value)| (Some(key), value));
            block(out, ('{', '}'), members, depth);
        }
        Value::Array(items) if !items.is_empty() => {
            block(
                out,
                ('[', ']'),
                items.iter().map(|value| (None, value)),
                depth,
            );
        }
        Value::String(_) => out.push_str(&format!("{TEXT}{value}{OFF}")),
        Value::Object(_) | Value::Array(_) => out.push_str(&value.to_string()),
        _ => out.push_str(&format!("{OTHER}{value}{OFF}")),
    }
}

fn block<'v>(
    out: &mut String,
    (open, close): (char, char),
    members: impl Iterator<Item = (Option<&'v String>, &'v Value)>,
    depth: usize,
) {
    out.push(open);
    for (index, (key, value)) in members.enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(depth + 1));
        if let Some(key) = key {
            out.push_str(&format!("{KEY}{}{OFF}: ", Value::from(key.as_str())));
        }
        write(out, value, depth + 1);
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_changes_nothing_but_colour() {
        let value: Value =
            serde_json::from_str(r#"{"a":[1,{"b":"c\"d"},[],{}],"e":null,"f":{"g":true}}"#)
                .unwrap();
        let mut out = String::new();
        write(&mut out, &value, 0);
        for code in [KEY, TEXT, OTHER, OFF] {
            out = out.replace(code, "");
        }
        assert_eq!(out, serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn errors_are_read_in_both_shapes() {
        assert_eq!(
            error_of(r#"{"error":{"code":"C","message":"m"}}"#),
            ": C: m"
        );
        assert_eq!(
            error_of(r#"{"error":"e","error_description":"d"}"#),
            ": e: d"
        );
        assert_eq!(error_of("<xml/>"), "");
    }
}
