//! The resource types there are, their api-versions and places: what `providers` answers and every route checks.

use std::borrow::Cow;

use crate::{Error, Result};

/// A resource provider.
pub struct Provider {
    /// E.g. `Microsoft.Communication`.
    pub namespace: &'static str,
    /// Its types.
    pub kinds: &'static [&'static Kind],
}

/// A resource type.
pub struct Kind {
    /// The provider's namespace.
    pub namespace: &'static str,
    /// The type below it, e.g. `namespaces/notificationHubs`.
    pub name: &'static str,
    /// Api-versions, newest first.
    pub api_versions: &'static [&'static str],
    /// Whether any other is served too, with the superset of all.
    pub any_version: bool,
    /// Where it may be.
    pub locations: &'static [&'static str],
}

impl Kind {
    /// The full type, e.g. `Microsoft.NotificationHubs/namespaces`.
    pub fn full(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Refuses a request without an api-version, or with one that this type does not have.
    pub fn check_api_version(&self, given: Option<&str>) -> Result<()> {
        let given = required(given)?;
        if self.any_version
            || self
                .api_versions
                .iter()
                .any(|known| known.eq_ignore_ascii_case(given))
        {
            return Ok(());
        }
        Err(Error::invalid(
            "NoRegisteredProviderFound",
            format!(
                "No registered resource provider found for location '{}' and API version '{given}' for type '{}'. \
                 The supported api-versions are '{}'. The supported locations are '{}'.",
                self.locations.first().copied().unwrap_or_default(),
                self.name,
                self.api_versions.join(", "),
                self.locations.join(", "),
            ),
        ))
    }
}

/// Refuses a request to subscriptions, groups or providers without an api-version, or with an unknown one.
pub fn check_core_api_version(given: Option<&str>) -> Result<()> {
    let given = required(given)?;
    if ARM_CORE
        .iter()
        .any(|known| known.eq_ignore_ascii_case(given))
    {
        return Ok(());
    }
    Err(Error::invalid(
        "InvalidApiVersionParameter",
        format!(
            "The api-version '{given}' is invalid. The supported versions are '{}'.",
            ARM_CORE.join(",")
        ),
    ))
}

/// The provider `namespace`, in any case.
pub fn provider(namespace: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .copied()
        .find(|provider| provider.namespace.eq_ignore_ascii_case(namespace))
}

/// The type `full`, e.g. `microsoft.communication/communicationservices`, in any case.
pub fn kind(full: &str) -> Option<&'static Kind> {
    PROVIDERS
        .iter()
        .flat_map(|provider| provider.kinds)
        .copied()
        .find(|kind| kind.full().eq_ignore_ascii_case(full))
}

/// A type as its provider spells it; one nobody knows as it is.
pub fn spelled(full: &str) -> Cow<'_, str> {
    kind(full).map_or(Cow::Borrowed(full), |kind| Cow::Owned(kind.full()))
}

fn required(given: Option<&str>) -> Result<&str> {
    given.filter(|given| !given.is_empty()).ok_or_else(|| {
        Error::invalid(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    })
}

/// `Microsoft.Communication/communicationServices`.
pub static COMMUNICATION: Kind = Kind {
    namespace: "Microsoft.Communication",
    name: "communicationServices",
    api_versions: &[
        "2026-03-18",
        "2025-09-01",
        "2025-05-01",
        "2025-05-01-preview",
        "2024-09-01-preview",
        "2023-06-01-preview",
        "2023-04-01",
        "2023-04-01-preview",
        "2023-03-31",
        "2023-03-01-preview",
        "2022-07-01-preview",
        "2021-10-01-preview",
        "2020-08-20",
        "2020-08-20-preview",
    ],
    any_version: false,
    locations: &["global"],
};

/// `Microsoft.NotificationHubs/namespaces`.
pub static NAMESPACE: Kind = Kind {
    namespace: "Microsoft.NotificationHubs",
    name: "namespaces",
    api_versions: HUB_VERSIONS,
    any_version: true,
    locations: &["global"],
};

/// `Microsoft.NotificationHubs/namespaces/notificationHubs`.
pub static HUB: Kind = Kind {
    namespace: "Microsoft.NotificationHubs",
    name: "namespaces/notificationHubs",
    api_versions: HUB_VERSIONS,
    any_version: true,
    locations: &["global"],
};

/// `Microsoft.EventGrid/topics`.
pub static TOPIC: Kind = event_kind("topics");

/// `Microsoft.EventGrid/systemTopics`.
pub static SYSTEM_TOPIC: Kind = event_kind("systemTopics");

/// `Microsoft.EventGrid/eventSubscriptions`, an extension of any resource.
pub static EVENT_SUBSCRIPTION: Kind = event_kind("eventSubscriptions");

/// `Microsoft.EventGrid/topics/eventSubscriptions`: another path of the same.
pub static TOPIC_SUBSCRIPTION: Kind = event_kind("topics/eventSubscriptions");

/// `Microsoft.EventGrid/systemTopics/eventSubscriptions`.
pub static SYSTEM_TOPIC_SUBSCRIPTION: Kind = event_kind("systemTopics/eventSubscriptions");

/// `Microsoft.EventGrid/topicTypes`.
pub static TOPIC_TYPE: Kind = event_kind("topicTypes");

const fn event_kind(name: &'static str) -> Kind {
    Kind {
        namespace: "Microsoft.EventGrid",
        name,
        api_versions: EVENT_VERSIONS,
        any_version: true,
        locations: &["global"],
    }
}

static EVENT_VERSIONS: &[&str] = &[
    "2025-07-15-preview",
    "2025-04-01-preview",
    "2025-02-15",
    "2024-12-15-preview",
    "2024-06-01-preview",
    "2023-12-15-preview",
    "2023-06-01-preview",
    "2022-06-15",
    "2021-12-01",
    "2021-10-15-preview",
    "2021-06-01-preview",
    "2020-10-15-preview",
    "2020-06-01",
    "2020-04-01-preview",
    "2020-01-01-preview",
    "2019-06-01",
    "2019-02-01-preview",
    "2019-01-01",
    "2018-09-15-preview",
    "2018-05-01-preview",
    "2018-01-01",
];

static HUB_VERSIONS: &[&str] = &[
    "2023-10-01-preview",
    "2023-09-01",
    "2023-01-01-preview",
    "2017-04-01",
    "2016-03-01",
    "2014-09-01",
];

/// Every provider of this server.
pub static PROVIDERS: &[&Provider] = &[
    &Provider {
        namespace: "Microsoft.Communication",
        kinds: &[&COMMUNICATION],
    },
    &Provider {
        namespace: "Microsoft.EventGrid",
        kinds: &[
            &TOPIC,
            &SYSTEM_TOPIC,
            &EVENT_SUBSCRIPTION,
            &TOPIC_SUBSCRIPTION,
            &SYSTEM_TOPIC_SUBSCRIPTION,
            &TOPIC_TYPE,
        ],
    },
    &Provider {
        namespace: "Microsoft.NotificationHubs",
        kinds: &[&NAMESPACE, &HUB],
    },
    &Provider {
        namespace: "Microsoft.Resources",
        kinds: &[&SUBSCRIPTIONS, &RESOURCE_GROUPS],
    },
];

static SUBSCRIPTIONS: Kind = Kind {
    namespace: "Microsoft.Resources",
    name: "subscriptions",
    api_versions: ARM_CORE,
    any_version: false,
    locations: &["global"],
};

static RESOURCE_GROUPS: Kind = Kind {
    namespace: "Microsoft.Resources",
    name: "resourceGroups",
    api_versions: ARM_CORE,
    any_version: false,
    locations: &["global"],
};

/// Api-versions of subscriptions, tenants, resource groups, providers and generic resources, newest first.
pub static ARM_CORE: &[&str] = &[
    "2025-04-01",
    "2025-03-01",
    "2024-11-01",
    "2024-08-01",
    "2024-07-01",
    "2024-03-01",
    "2023-07-01",
    "2023-07-01-preview",
    "2023-03-01-preview",
    "2022-12-01",
    "2022-11-01-preview",
    "2022-09-01",
    "2022-06-01",
    "2022-05-01",
    "2022-03-01-preview",
    "2022-01-01",
    "2021-04-01",
    "2021-01-01",
    "2020-10-01",
    "2020-09-01",
    "2020-08-01",
    "2020-07-01",
    "2020-06-01",
    "2020-05-01",
    "2020-01-01",
    "2019-11-01",
    "2019-10-01",
    "2019-09-01",
    "2019-08-01",
    "2019-07-01",
    "2019-06-01",
    "2019-05-10",
    "2019-05-01",
    "2019-03-01",
    "2018-11-01",
    "2018-09-01",
    "2018-08-01",
    "2018-07-01",
    "2018-06-01",
    "2018-05-01",
    "2018-02-01",
    "2018-01-01",
    "2017-12-01",
    "2017-08-01",
    "2017-06-01",
    "2017-05-10",
    "2017-05-01",
    "2017-03-01",
    "2016-09-01",
    "2016-07-01",
    "2016-06-01",
    "2016-02-01",
    "2015-11-01",
    "2015-01-01",
    "2014-04-01-preview",
    "2014-04-01",
    "2014-01-01",
];
