//! Whose shared access signature a request carries, and whether it may.

use std::fmt;
use std::sync::Arc;

use domain::hub::{Hub, Namespace, Right, Rule};
use wire::auth::sas::Token;

use super::directory::Snapshot;
use crate::{App, Error, Kind, Result};

/// Who a shared access signature comes from, once it is verified.
#[derive(Clone)]
pub struct SasCaller {
    /// The rule that signed.
    pub rule: String,
    /// What the rule may do.
    pub rights: Vec<Right>,
    /// Through which hub.
    pub hub: Arc<Hub>,
}

impl fmt::Debug for SasCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SasCaller({} at {})", self.rule, self.hub.resource_id)
    }
}

/// A request as far as its signature is concerned.
#[derive(Clone, Copy)]
pub struct SasRequest<'a> {
    /// The `Host` header or `:authority`, with or without a port.
    pub host: Option<&'a str>,
    /// The raw path.
    pub path: &'a str,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
}

impl App {
    /// The caller of a request to `hub`, who must have `right`.
    ///
    /// The hub is looked for in the namespace that the host names; failing that, in the one whose rule verifies the
    /// signature: a client that was pointed at localhost names no namespace.
    pub fn authorize_sas(
        &self,
        request: SasRequest<'_>,
        hub: &str,
        right: Right,
    ) -> Result<SasCaller> {
        let token = request.token()?;
        let snapshot = self.hub_snapshot();
        let namespace = request.namespace(&snapshot);
        let signer = snapshot
            .named(hub)
            .iter()
            .filter(|hub| namespace.is_none_or(|named| named.name == hub.namespace))
            .find_map(|hub| Some((hub, signing(hub.rule(token.rule())?, &token)?)));
        let Some((hub, rule)) = signer else {
            // Whoever holds a key of the namespace may know that it has no such hub.
            return Err(match signing_namespace(&snapshot, namespace, &token) {
                Some(_) => not_found(),
                None => invalid_signature(),
            });
        };
        self.check(request, &token, rule, right)?;
        Ok(SasCaller {
            rule: rule.name.clone(),
            rights: rule.rights.clone(),
            hub: Arc::clone(hub),
        })
    }

    /// The namespace of a request about the namespace itself, which takes `Manage` by one of its own rules.
    pub fn authorize_sas_namespace(&self, request: SasRequest<'_>) -> Result<Arc<Namespace>> {
        let token = request.token()?;
        let snapshot = self.hub_snapshot();
        let namespace = request.namespace(&snapshot);
        let (namespace, rule) =
            signing_namespace(&snapshot, namespace, &token).ok_or_else(invalid_signature)?;
        self.check(request, &token, rule, Right::Manage)?;
        Ok(Arc::clone(namespace))
    }

    /// What remains to be checked once the signature is known to be `rule`'s.
    fn check(
        &self,
        request: SasRequest<'_>,
        token: &Token<'_>,
        rule: &Rule,
        right: Right,
    ) -> Result<()> {
        if token.is_expired(self.clock.now().secs()) {
            return Err(unauthenticated(
                "ExpiredToken",
                "ExpiredToken: The token is expired.",
            ));
        }
        if !token.covers(request.path) {
            let message = "InvalidAudience: The token is for another resource (sr).";
            return Err(unauthenticated("InvalidAudience", message));
        }
        match right {
            _ if rule.grants(right) => Ok(()),
            Right::Manage => Err(unauthenticated(
                "Unauthorized",
                "Manage claim is required for this operation.",
            )),
            _ => {
                let message = format!(
                    "The rule '{}' does not grant {}, which this operation takes.",
                    rule.name,
                    right.as_str()
                );
                Err(Error::new(Kind::Forbidden, "Forbidden", message))
            }
        }
    }
}

impl<'a> SasRequest<'a> {
    fn token(&self) -> Result<Token<'a>> {
        let header = self.authorization.ok_or_else(|| {
            let message = "MissingToken: The authorization header was not found.";
            unauthenticated("MissingToken", message)
        })?;
        Token::parse(header).map_err(|error| {
            let message =
                format!("MalformedToken: The authorization header is malformed: {error}.");
            unauthenticated("MalformedToken", message)
        })
    }

    /// The namespace that the first label of the host names.
    fn namespace<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Arc<Namespace>> {
        let label = self.host?.split(['.', ':']).next()?;
        snapshot.namespace(label)
    }
}

fn signing_namespace<'s>(
    snapshot: &'s Snapshot,
    named: Option<&'s Arc<Namespace>>,
    token: &Token<'_>,
) -> Option<(&'s Arc<Namespace>, &'s Rule)> {
    let signed = |namespace: &'s Arc<Namespace>| {
        Some((namespace, signing(namespace.rule(token.rule())?, token)?))
    };
    match named {
        Some(namespace) => signed(namespace),
        None => snapshot.namespaces.iter().find_map(signed),
    }
}

fn signing<'r>(rule: &'r Rule, token: &Token<'_>) -> Option<&'r Rule> {
    rule.signed(token).then_some(rule)
}

fn invalid_signature() -> Error {
    let message = "InvalidSignature: The token has an invalid signature.";
    unauthenticated("InvalidSignature", message)
}

fn not_found() -> Error {
    Error::not_found(
        "EndpointNotFound",
        "No service is hosted at the specified address.",
    )
}

fn unauthenticated(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, code, message)
}
