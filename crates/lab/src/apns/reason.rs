//! Apple's reasons ("Handling notification responses from APNs") and the status each comes with.

macro_rules! reasons {
    ($($status:literal: $($name:ident)+;)+) => {
        /// Why a push is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are Apple's and explained there")]
        pub enum Reason { $($($name,)+)+ }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            /// The `:status` it comes with.
            pub fn status(self) -> u16 {
                match self { $($(Self::$name)|+ => $status,)+ }
            }

            /// The word in the body.
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)+)+ }
            }
        }
    };
}

reasons! {
    400: BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic DeviceTokenNotForTopic
         DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed;
    403: BadCertificate BadCertificateEnvironment BadEnvironmentKeyIdInToken ExpiredProviderToken Forbidden
         InvalidProviderToken MissingProviderToken UnrelatedKeyIdInToken;
    404: BadPath;
    405: MethodNotAllowed;
    410: ExpiredToken Unregistered;
    413: PayloadTooLarge;
    429: TooManyProviderTokenUpdates TooManyRequests;
    500: InternalServerError;
    503: ServiceUnavailable Shutdown;
}

impl Reason {
    /// The reason with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == name)
    }

    /// What a fault means that names only a status.
    pub fn usual(status: u16) -> Option<Self> {
        Some(match status {
            400 => Self::BadDeviceToken,
            403 => Self::InvalidProviderToken,
            404 => Self::BadPath,
            405 => Self::MethodNotAllowed,
            410 => Self::Unregistered,
            413 => Self::PayloadTooLarge,
            429 => Self::TooManyRequests,
            500 => Self::InternalServerError,
            503 => Self::ServiceUnavailable,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Reason;

    #[test]
    fn every_reason_of_the_table_is_known_with_its_status() {
        let table = include_str!("../../../../fixtures/push/apns-reasons.json");
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        let row = |row: &serde_json::Value| {
            (
                row["status"].as_u64().unwrap(),
                row["reason"].as_str().unwrap().to_owned(),
            )
        };
        let theirs: BTreeSet<_> = table["device"]
            .as_array()
            .unwrap()
            .iter()
            .map(row)
            .collect();
        let ours = |it: &Reason| (u64::from(it.status()), it.as_str().to_owned());
        assert_eq!(
            Reason::ALL.iter().map(ours).collect::<BTreeSet<_>>(),
            theirs
        );
    }
}
