//! `config.example.toml`: every key with what it is for and its default, made from the code so that it cannot lie.

use toml::Value;

use super::Config;

/// A key as the example shows it.
struct Key {
    /// `name` or `section.name`.
    path: &'static str,
    /// What it is for, a line each.
    help: &'static [&'static str],
    /// What to show where the default is nothing.
    example: &'static str,
}

/// The text of `config.example.toml`.
pub fn text() -> String {
    let defaults = Value::try_from(Config::default()).unwrap_or(Value::Boolean(false));
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let (in_section, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if in_section != section {
            section = in_section;
            text.push_str(&format!("\n#[{section}]\n"));
        }
        let value = match key.example {
            "" => lookup(&defaults, key.path).map(inline).unwrap_or_default(),
            example => example.to_owned(),
        };
        text.push('\n');
        key.help
            .iter()
            .for_each(|line| text.push_str(&format!("# {line}\n")));
        text.push_str(&format!("#{name} = {value}\n"));
    }
    text
}

fn lookup<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.')
        .try_fold(value, |value, name| value.get(name))
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let members: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        other => other.to_string(),
    }
}

const fn key(path: &'static str, help: &'static [&'static str]) -> Key {
    shown(path, help, "")
}

const fn shown(path: &'static str, help: &'static [&'static str], example: &'static str) -> Key {
    Key {
        path,
        help,
        example,
    }
}

const HEAD: &str = "\
# Carillon's configuration: every key with its default. `carillon serve` reads carillon.toml in the working directory, or
# the file that --config names. Over it go the environment (CARILLON_LISTEN, CARILLON_LIMITS__CONNECTIONS) and the options
# of the command line. A key that does not stand here is an error.
";

/// Every key, in the order of the file. A test holds it against [`Config`].
const KEYS: &[Key] = &[
    key(
        "data_dir",
        &["Where the server keeps its files: certificates, master key, database."],
    ),
    key("listen", &["The https port."]),
    key(
        "http",
        &[
            "The plain-http port: health, metrics, the CA certificate, cloud metadata. Keep it private.",
        ],
    ),
    shown(
        "base_url",
        &["The https address that clients use, when it is not https://localhost:PORT."],
        "\"https://rings.example.com\"",
    ),
    key(
        "hosts",
        &[
            "More host names by which clients reach this server. They stand in its certificate, and a connection string",
            "that names one of them is for a hub of this server.",
        ],
    ),
    shown(
        "database",
        &[
            "sqlite:PATH, or postgres://… for several nodes. Default: carillon.db in the data directory.",
        ],
        "\"postgres://carillon@db.example.com/carillon\"",
    ),
    shown(
        "master_key_file",
        &[
            "The file with the key that seals secrets in the database: 64 hexadecimal digits. Nodes of one cluster share it.",
            "Default: master.key in the data directory, made at the first start. Who loses it loses the secrets.",
        ],
        "\"/etc/carillon/master.key\"",
    ),
    shown(
        "log",
        &[
            "Log lines for people (pretty) or as JSON (json). Default: pretty on a terminal, else json.",
        ],
        "\"json\"",
    ),
    shown(
        "log_filter",
        &["Which log lines are written; carillon::request=debug adds one for each request."],
        "\"info,carillon::request=debug\"",
    ),
    shown(
        "tenant",
        &["The tenant id of the control plane. Default: made at the first start."],
        "\"11111111-1111-1111-1111-111111111111\"",
    ),
    key(
        "subscriptions",
        &[
            "The subscriptions of the control plane. To link a hub that lives in Azure, give its subscription's id here.",
        ],
    ),
    shown(
        "tls.certificate",
        &[
            "Certificates of your own, PEM: the leaf, then its intermediates. Read again every minute.",
            "Without this section the server is its own authority, and clients trust ca.pem of its data directory.",
        ],
        "\"/etc/carillon/tls.pem\"",
    ),
    shown(
        "tls.key",
        &["The leaf's private key, PEM."],
        "\"/etc/carillon/tls.key\"",
    ),
    key(
        "limits.connections",
        &[
            "Connections at once, per port; the next ones wait. At most three eighths of the files that the process may",
            "open (ulimit -n).",
        ],
    ),
    key(
        "limits.header_seconds",
        &[
            "Seconds a client has to send a request's header, and that an idle HTTP/1.1 connection is kept.",
        ],
    ),
    key(
        "limits.body_seconds",
        &["Seconds a client has to send a request's body."],
    ),
    key(
        "limits.answer_seconds",
        &["Seconds a client may take nothing of its answer before it is cut off."],
    ),
    key(
        "limits.handshake_seconds",
        &["Seconds a client has for the TLS handshake."],
    ),
    key("limits.header_bytes", &["Bytes of a request's header."]),
    key(
        "limits.drain_seconds",
        &["Seconds that requests under way get when the server stops."],
    ),
    key(
        "limits.identity_issues",
        &[
            "How often in 30 seconds, at one node, a communication resource may create users, and how often issue tokens, before",
            "it is answered 429. 0: as often as it likes, as in `carillon dev`.",
        ],
    ),
    key(
        "limits.identity_revocations",
        &["The same for deleting users and for revoking their tokens."],
    ),
    key(
        "push.pending_per_hub",
        &[
            "Deliveries that one hub may have pending; a send beyond them is answered 429. A hub whose push service is down fills",
            "its own room and nobody else's.",
        ],
    ),
    key(
        "push.retention_hours",
        &[
            "Hours that notifications and their deliveries are kept for telemetry, repeats and delivery lists, events for",
            "replay, and calls after their end.",
        ],
    ),
    key(
        "push.least_connections",
        &[
            "Connections that each lane holds at least. A credential has a lane for calls and one for everything else.",
        ],
    ),
    key(
        "push.most_connections",
        &["Connections that a lane opens at most while pushes wait."],
    ),
    key(
        "push.queue",
        &["Pushes that may wait in a lane for a free connection."],
    ),
    shown(
        "push.ca_file",
        &[
            "Authorities whose push services and remote hubs are believed beside those that the machine knows, PEM: for a",
            "proxy or stand-in with a CA of its own.",
        ],
        "\"/etc/carillon/push-ca.pem\"",
    ),
    key(
        "calls.ring_seconds",
        &["Seconds that a user is rung, if whoever calls does not say how long: 5 to 180."],
    ),
    key(
        "calls.longest_hours",
        &[
            "Hours after which a connected call is ended, 1 to 8760: nobody notices that its devices are gone when they do not",
            "hang up.",
        ],
    ),
    key(
        "calls.redirects",
        &["How often applications may redirect a call before they are refused with 8521."],
    ),
    key(
        "calls.callback_attempts",
        &[
            "How often a callback of Call Automation is sent until the application takes it: after about 1, 2, 4, 8 and 15",
            "seconds again, then every 15. What is given up is shown by `GET /calling/callConnections/{id}/callbacks`.",
        ],
    ),
    key(
        "calls.callback_seconds",
        &["Seconds that an application may take to answer a callback."],
    ),
    key(
        "webhooks.private_networks",
        &[
            "Let webhooks and callbacks lead to private networks (10.0.0.0/8, fd00::/8 and their like). Whoever may create a",
            "subscription can then make this server send requests there.",
        ],
    ),
    key(
        "webhooks.loopback",
        &["Let them lead to this machine. In `carillon dev` they may."],
    ),
    key(
        "webhooks.plain_http",
        &[
            "Where they may be http:// instead of https://: \"never\", \"loopback\" (in `carillon dev` at least that) or \"always\".",
        ],
    ),
    shown(
        "webhooks.ca_file",
        &["Authorities whose receivers are believed beside those that the machine knows, PEM."],
        "\"/etc/carillon/receivers-ca.pem\"",
    ),
    key(
        "webhooks.connections_per_host",
        &[
            "Connections to one receiver (scheme, host and port) at once, of all its subscriptions; a quarter of them is kept",
            "free for what is urgent. Of these no more than 32 are being opened at once.",
        ],
    ),
    key(
        "events.origin",
        &[
            "Who asks whether a receiver of CloudEvents wants events. Azure Functions consent to Azure's name alone.",
        ],
    ),
    key(
        "events.validation_minutes",
        &["How long the validation URL of a new event subscription can be visited."],
    ),
    key(
        "events.dead_letter_seconds",
        &["How long dead letters wait for others to be written in one file with."],
    ),
    shown(
        "events.functions",
        &[
            "Where functions are that event subscriptions name by resource id: an app (then every function in it is found",
            "at /runtime/webhooks/EventGrid) or a single function.",
        ],
        r#"{ "/subscriptions/…/providers/Microsoft.Web/sites/app" = "http://localhost:7071" }"#,
    ),
    shown(
        "events.storage",
        &[
            "What stands behind the storage accounts that dead letters go to, by account name: s3 or azure. In `carillon dev`",
            "any other account is a directory in the data directory.",
        ],
        r#"{ account = { azure = { access_key = "…" } } }"#,
    ),
    key(
        "lab.enabled",
        &[
            "Run the device lab beside the server. It rings no real phone; `carillon dev` always has it.",
        ],
    ),
    shown(
        "lab.apns",
        &["Where the lab stands in for APNs."],
        "\"127.0.0.1:9443\"",
    ),
    shown(
        "lab.fcm",
        &["Where the lab stands in for FCM and its token endpoint."],
        "\"127.0.0.1:9444\"",
    ),
    shown(
        "lab.webpush",
        &["Where the lab stands in for a Web Push service."],
        "\"127.0.0.1:9445\"",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Certificates;

    /// Every key that the configuration has, also those without a default.
    fn keys() -> BTreeSet<String> {
        let certificates = Certificates {
            certificate: "c".into(),
            key: "k".into(),
        };
        let config = Config {
            tls: Some(certificates),
            ..Config::default()
        };
        let value = serde_json::to_value(config).unwrap();
        let mut keys = BTreeSet::new();
        for (name, value) in value.as_object().unwrap() {
            match value.as_object() {
                Some(section) => keys.extend(section.keys().map(|key| format!("{name}.{key}"))),
                None => drop(keys.insert(name.clone())),
            }
        }
        keys
    }

    #[test]
    fn the_example_names_every_key_there_is() {
        let shown: BTreeSet<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        assert_eq!(shown, keys());
    }

    #[test]
    fn the_example_is_a_configuration_once_its_keys_are_uncommented() {
        let text: String = text()
            .lines()
            .filter(|line| !line.starts_with("# "))
            .map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line)))
            .collect();
        let config: Config =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(config.listen, Config::default().listen);
    }

    #[test]
    fn the_file_in_the_repository_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.example.toml");
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            kept == text(),
            "run `cargo run -p carillon -- config example > config.example.toml`"
        );
    }
}
