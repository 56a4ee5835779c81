//! How the control plane of events behaves.

use std::collections::HashMap;
use std::time::Duration;

use wire::arm::ResourceId;

/// What the configuration says of event subscriptions.
#[derive(Clone, Debug)]
pub struct EventsConfig {
    /// Who asks: `WebHook-Request-Origin`. Functions consent to Azure's name alone.
    pub origin: String,
    /// How long a validation URL can be visited.
    pub validation_window: Duration,
    /// URLs by the lower-cased resource id of a function, or of the app that functions are in.
    pub functions: HashMap<String, String>,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            origin: "eventgrid.azure.net".to_owned(),
            validation_window: Duration::from_secs(600),
            functions: HashMap::new(),
        }
    }
}

impl EventsConfig {
    /// Where a function takes its events: its own URL, or that of its app with the path of the Event Grid trigger.
    pub fn function_url(&self, id: &ResourceId) -> Option<String> {
        if let Some(url) = self.functions.get(id.key()) {
            return Some(url.clone());
        }
        let app = self.functions.get(id.parent()?.key())?;
        let name = url::form_urlencoded::byte_serialize(id.name().as_bytes());
        let name: String = name.collect();
        Some(format!(
            "{}/runtime/webhooks/EventGrid?functionName={name}",
            app.trim_end_matches('/')
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_its_own_id_or_that_of_its_app() {
        let app = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/App";
        let mut config = EventsConfig::default();
        let function = |name: &str| ResourceId::parse(&format!("{app}/functions/{name}")).unwrap();
        assert_eq!(config.function_url(&function("F")), None);
        let functions = &mut config.functions;
        functions.insert(app.to_lowercase(), "http://localhost:7071/".into());
        functions.insert(function("Other").key().to_owned(), "https://other/".into());
        assert_eq!(
            config.function_url(&function("F")).as_deref(),
            Some("http://localhost:7071/runtime/webhooks/EventGrid?functionName=F")
        );
        let other = config.function_url(&function("other"));
        assert_eq!(other.as_deref(), Some("https://other/"));
    }
}
