//! Which events are wanted: as `tail` and `subscribe` are told.

use clap::Args;
use serde_json::{Value, json};

use crate::environment::Environment;

/// The filter of a subscription, from the shell.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Only events of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<String>,
    /// Only events whose subject begins so
    #[arg(long, value_name = "TEXT")]
    subject_begins_with: Option<String>,
}

impl Wanted {
    /// As ARM writes it.
    pub(super) fn filter(&self) -> Value {
        let mut filter = json!({});
        if !self.kinds.is_empty() {
            filter["includedEventTypes"] = json!(self.kinds);
        }
        if let Some(begin) = &self.subject_begins_with {
            filter["subjectBeginsWith"] = json!(begin);
        }
        filter
    }
}

/// The resource id of the topic of `carillon dev`.
pub(super) fn topic(environment: &Environment) -> Option<String> {
    let topic = &environment.eventgrid.as_ref()?.topic;
    let group = group(environment)?;
    Some(format!(
        "{group}/providers/Microsoft.EventGrid/topics/{topic}"
    ))
}

/// The resource id of the group of `carillon dev`.
pub(super) fn group(environment: &Environment) -> Option<String> {
    let control = environment.control.as_ref()?;
    let group = control.resource_group.as_deref().unwrap_or("default");
    Some(format!(
        "/subscriptions/{}/resourceGroups/{group}",
        control.subscription_id
    ))
}
