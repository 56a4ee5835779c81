//! ARM resource ids: `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}/…`.
//!
//! Azure compares ids without regard to case and keeps the spelling they were first written in. The shape is that
//! of the Azure Resource Manager reference, "Resource ids"; clients send `resourceGroups` and `resourcegroups`.

use std::fmt;
use std::hash::{Hash, Hasher};

const MAX_LENGTH: usize = 2_048;

/// A parsed resource id. Equal to another if both differ in case at most.
#[derive(Clone)]
pub struct ResourceId {
    /// Canonical words (`subscriptions`, `resourceGroups`, `providers`), the rest as written.
    text: String,
    /// Lower-cased `text`.
    key: String,
    /// `(word, value)`: everything in an id comes in pairs.
    pairs: Vec<(String, String)>,
}

/// Text that is no resource id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a resource id of the form /subscriptions/{{id}}/resourceGroups/{{group}}/providers/{{namespace}}/{{type}}/{{name}}"
)]
pub struct InvalidResourceId;

impl ResourceId {
    /// Parses an id in any spelling; tolerates a trailing slash and doubled slashes.
    pub fn parse(text: &str) -> Result<Self, InvalidResourceId> {
        let text = text.trim();
        if text.len() > MAX_LENGTH || !text.starts_with('/') || text.chars().any(char::is_control) {
            return Err(InvalidResourceId);
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        if !parts.len().is_multiple_of(2) {
            return Err(InvalidResourceId);
        }
        Self::from_pairs(parts.chunks_exact(2).map(|pair| (pair[0], pair[1])))
    }

    /// The id of a subscription.
    pub fn of_subscription(subscription: &str) -> Result<Self, InvalidResourceId> {
        Self::from_pairs([("subscriptions", subscription)])
    }

    /// The id of a resource group.
    pub fn of_group(subscription: &str, group: &str) -> Result<Self, InvalidResourceId> {
        Self::from_pairs([("subscriptions", subscription), ("resourceGroups", group)])
    }

    /// The id of a resource in a group. `types` are the parts of its type with their names, outermost first.
    pub fn of_resource(
        subscription: &str,
        group: &str,
        namespace: &str,
        types: &[(&str, &str)],
    ) -> Result<Self, InvalidResourceId> {
        let scope = [
            ("subscriptions", subscription),
            ("resourceGroups", group),
            ("providers", namespace),
        ];
        Self::from_pairs(scope.into_iter().chain(types.iter().copied()))
    }

    /// The id of something inside this one, e.g. a hub inside its namespace.
    pub fn child(&self, kind: &str, name: &str) -> Result<Self, InvalidResourceId> {
        let pairs = self.pairs.iter().map(|(w, v)| (w.as_str(), v.as_str()));
        Self::from_pairs(pairs.chain([(kind, name)]))
    }

    /// The id of an extension resource of this one: `…/providers/{namespace}/{type}/{name}`. `kind` is its full type.
    pub fn extension(&self, kind: &str, name: &str) -> Result<Self, InvalidResourceId> {
        let (namespace, kind) = kind.split_once('/').ok_or(InvalidResourceId)?;
        let pairs = self.pairs.iter().map(|(w, v)| (w.as_str(), v.as_str()));
        Self::from_pairs(pairs.chain([(PROVIDERS, namespace), (kind, name)]))
    }

    /// The id, words canonical, names as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The lower-cased id: how resources are compared and stored.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The subscription, as written.
    pub fn subscription(&self) -> &str {
        &self.pairs[0].1
    }

    /// The resource group, as written.
    pub fn group(&self) -> Option<&str> {
        let (word, value) = self.pairs.get(1)?;
        (word == RESOURCE_GROUPS).then_some(value)
    }

    /// The provider's namespace, e.g. `Microsoft.Communication`.
    pub fn namespace(&self) -> Option<&str> {
        self.provider().map(|at| self.pairs[at].1.as_str())
    }

    /// The full type, e.g. `Microsoft.NotificationHubs/namespaces/notificationHubs`.
    pub fn resource_type(&self) -> String {
        let Some(at) = self.provider() else {
            return match self.pairs.len() {
                1 => "Microsoft.Resources/subscriptions".to_owned(),
                _ => "Microsoft.Resources/resourceGroups".to_owned(),
            };
        };
        self.pairs[at + 1..]
            .iter()
            .fold(self.pairs[at].1.clone(), |text, (word, _)| {
                format!("{text}/{word}")
            })
    }

    /// The names that go with the parts of the type, outermost first; of a group or subscription its own.
    pub fn names(&self) -> Vec<&str> {
        let from = self.provider().map_or(self.pairs.len() - 1, |at| at + 1);
        self.pairs[from..]
            .iter()
            .map(|(_, name)| name.as_str())
            .collect()
    }

    /// The last name.
    pub fn name(&self) -> &str {
        self.pairs.last().map_or("", |(_, name)| name)
    }

    /// The id of what this one is directly inside of: the parent resource, the group, or the subscription.
    pub fn parent(&self) -> Option<Self> {
        let mut keep = self.pairs.len() - 1;
        // `…/providers/{namespace}` alone is no place.
        if keep > 0 && self.provider() == Some(keep - 1) {
            keep -= 1;
        }
        let pairs = self.pairs[..keep]
            .iter()
            .map(|(w, v)| (w.as_str(), v.as_str()));
        Self::from_pairs(pairs).ok()
    }

    /// Whether this id is of the type `of`, e.g. `Microsoft.NotificationHubs/namespaces/notificationHubs`.
    pub fn is_type(&self, of: &str) -> bool {
        self.resource_type().eq_ignore_ascii_case(of)
    }

    /// Where the last `providers` pair stands: what follows it is the type.
    fn provider(&self) -> Option<usize> {
        self.pairs.iter().rposition(|(word, _)| word == PROVIDERS)
    }

    fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidResourceId> {
        let mut pairs: Vec<(String, String)> = pairs
            .into_iter()
            .map(|(word, value)| (word.to_owned(), value.to_owned()))
            .collect();
        canonical(pairs.first_mut(), SUBSCRIPTIONS);
        canonical(pairs.get_mut(1), RESOURCE_GROUPS);
        for pair in pairs.iter_mut().skip(1) {
            canonical(Some(pair), PROVIDERS);
        }
        let mut text = String::new();
        for (word, value) in &pairs {
            if !is_segment(word) || !is_segment(value) {
                return Err(InvalidResourceId);
            }
            text.extend(["/", word, "/", value]);
        }
        let id = Self {
            key: text.to_lowercase(),
            text,
            pairs,
        };
        (id.is_complete() && id.text.len() <= MAX_LENGTH)
            .then_some(id)
            .ok_or(InvalidResourceId)
    }

    /// `/subscriptions/s`, `…/resourceGroups/g`, or either with `providers/{namespace}` and one type at least.
    fn is_complete(&self) -> bool {
        let Some((word, _)) = self.pairs.first() else {
            return false;
        };
        let scope = if self.group().is_some() { 2 } else { 1 };
        word == SUBSCRIPTIONS
            && match self.pairs.get(scope) {
                None => true,
                Some((word, _)) => {
                    word == PROVIDERS && self.provider() != Some(self.pairs.len() - 1)
                }
            }
    }
}

fn canonical(pair: Option<&mut (String, String)>, word: &str) {
    if let Some(pair) = pair
        && pair.0.eq_ignore_ascii_case(word)
    {
        word.clone_into(&mut pair.0);
    }
}

/// Blanks around a segment would be lost at the ends of an id, which is trimmed when it is read back.
fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.contains(['/', '?', '#', '\\'])
        && !text.chars().any(char::is_control)
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for ResourceId {}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const SUBSCRIPTIONS: &str = "subscriptions";
const RESOURCE_GROUPS: &str = "resourceGroups";
const PROVIDERS: &str = "providers";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HUB: &str = "/Subscriptions/S1/resourcegroups/My Group/Providers/microsoft.notificationhubs/namespaces/Push/notificationhubs/Hub";

    #[test]
    fn any_spelling_is_the_same_resource_and_names_keep_theirs() {
        let id = ResourceId::parse(HUB).unwrap();
        assert_eq!(
            id.as_str(),
            "/subscriptions/S1/resourceGroups/My Group/providers/microsoft.notificationhubs/namespaces/Push/notificationhubs/Hub"
        );
        assert_eq!(
            id,
            ResourceId::parse(&format!("/{}//", HUB.to_uppercase())).unwrap()
        );
        assert_eq!((id.subscription(), id.group()), ("S1", Some("My Group")));
        assert_eq!(id.names(), ["Push", "Hub"]);
        assert!(id.is_type("Microsoft.NotificationHubs/namespaces/notificationHubs"));
    }

    #[test]
    fn a_parent_is_the_resource_then_the_group_then_the_subscription() {
        let id = ResourceId::parse(HUB).unwrap();
        let namespace = id.parent().unwrap();
        assert_eq!(namespace.name(), "Push");
        let group = namespace.parent().unwrap();
        assert_eq!(group.as_str(), "/subscriptions/S1/resourceGroups/My Group");
        assert_eq!(group.resource_type(), "Microsoft.Resources/resourceGroups");
        assert_eq!(group.parent().unwrap().as_str(), "/subscriptions/S1");
        assert_eq!(group.parent().unwrap().parent(), None);
        assert_eq!(namespace.child("notificationHubs", "Hub").unwrap(), id);
    }

    #[test]
    fn the_type_of_an_extension_resource_is_behind_its_last_provider() {
        let id = ResourceId::parse(
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication/communicationServices/c/providers/Microsoft.EventGrid/eventSubscriptions/e",
        )
        .unwrap();
        assert_eq!(id.resource_type(), "Microsoft.EventGrid/eventSubscriptions");
        let scope = id.parent().unwrap();
        assert_eq!(scope.name(), "c");
        let extension = scope.extension("Microsoft.EventGrid/eventSubscriptions", "e");
        assert_eq!(extension.unwrap(), id);
    }

    #[test]
    fn what_is_no_resource_id_is_refused() {
        for text in [
            "",
            "/",
            "subscriptions/s",
            "/subscriptions",
            "/subscriptions/s/resourceGroups",
            "/resourceGroups/g",
            "/subscriptions/s/providers/Microsoft.X",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.X/type",
            "/subscriptions/s/resourceGroups/g/hubs/h",
            "/subscriptions/s\n/resourceGroups/g",
            "//subscriptions// /",
        ] {
            assert_eq!(ResourceId::parse(text), Err(InvalidResourceId), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_its_result_parses_to_itself(text in "(/(subscriptions|resourceGroups|providers|[^/]{0,5})){0,12}") {
            if let Ok(id) = ResourceId::parse(&text) {
                prop_assert_eq!(&ResourceId::parse(id.as_str()).unwrap(), &id);
                let _ = (id.parent(), id.names(), id.resource_type());
            }
        }
    }
}
