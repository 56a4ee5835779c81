//! Authorization rules of namespaces and hubs, and their keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::hub::Right;
use domain::resource::Actor;
use serde_json::{Map, Value};
use wire::arm::ResourceId;
use wire::arm::connection_string::ConnectionString;
use wire::arm::lenient_json::property;

use super::document::StoredRule;
use crate::control::Precondition;
use crate::{App, Error, Result};

/// The keys of a rule, as `listKeys` answers them.
pub struct RuleKeys {
    /// The rule as it is kept.
    pub rule: StoredRule,
    /// With the primary key.
    pub primary_connection_string: String,
    /// With the secondary key.
    pub secondary_connection_string: String,
}

impl App {
    /// The rules of a namespace or hub.
    pub async fn hub_rules(&self, of: &ResourceId) -> Result<Vec<StoredRule>> {
        StoredRule::all_of(&self.resource(of).await?)
    }

    /// One rule of a namespace or hub.
    pub async fn hub_rule(&self, of: &ResourceId, name: &str) -> Result<StoredRule> {
        named(self.hub_rules(of).await?, of, name)
    }

    /// Makes a rule, or changes the rights of one; its keys stay.
    pub async fn put_hub_rule(
        &self,
        of: &ResourceId,
        name: &str,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<StoredRule> {
        let rule = self.new_rule(rule_name(name)?, &rights(body)?);
        let put = self.edit(of, &Precondition::Always, actor, |document| {
            let rules = &mut document.secrets.rules;
            if let Some(known) = rules.iter_mut().find(|known| known.is(name)) {
                known.rights.clone_from(&rule.rights);
                known.modified_at = rule.modified_at;
                return Ok(());
            }
            if rules.len() >= MAX_RULES {
                let message = format!("There are {MAX_RULES} rules already, which is the limit.");
                return Err(Error::invalid("QuotaExceeded", message));
            }
            rules.push(rule.clone());
            Ok(())
        });
        named(StoredRule::all_of(&put.await?)?, of, name)
    }

    /// Deletes a rule; `false` if there was none.
    pub async fn delete_hub_rule(
        &self,
        of: &ResourceId,
        name: &str,
        actor: &Actor,
    ) -> Result<bool> {
        if !self.hub_rules(of).await?.iter().any(|rule| rule.is(name)) {
            return Ok(false);
        }
        self.edit(of, &Precondition::Always, actor, |document| {
            document.secrets.rules.retain(|rule| !rule.is(name));
            Ok(())
        })
        .await?;
        Ok(true)
    }

    /// The keys of a rule, with connection strings for this server.
    pub async fn hub_rule_keys(&self, of: &ResourceId, name: &str) -> Result<RuleKeys> {
        let rule = self.hub_rule(of, name).await?;
        Ok(self.with_connection_strings(rule))
    }

    /// Makes a new key in place of the one that `policyKey` names.
    pub async fn regenerate_hub_rule_key(
        &self,
        of: &ResourceId,
        name: &str,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<RuleKeys> {
        let (primary, key, now) = (is_primary(body)?, self.new_key(), self.clock.now());
        let put = self.edit(of, &Precondition::Always, actor, |document| {
            let mut rules = document.secrets.rules.iter_mut();
            let rule = rules.find(|rule| rule.is(name));
            let rule = rule.ok_or_else(|| no_rule(of, name))?;
            let old = if primary {
                &mut rule.primary
            } else {
                &mut rule.secondary
            };
            old.clone_from(&key);
            rule.modified_at = now;
            Ok(())
        });
        let rule = named(StoredRule::all_of(&put.await?)?, of, name)?;
        Ok(self.with_connection_strings(rule))
    }

    /// What every new hub has.
    pub(super) fn default_rules(&self) -> [StoredRule; 2] {
        [
            self.new_rule("DefaultListenSharedAccessSignature", &[Right::Listen]),
            self.new_rule("DefaultFullSharedAccessSignature", &ALL_RIGHTS),
        ]
    }

    /// A rule with fresh keys.
    pub(super) fn new_rule(&self, name: &str, rights: &[Right]) -> StoredRule {
        let now = self.clock.now();
        StoredRule {
            name: name.to_owned(),
            rights: rights.to_vec(),
            primary: self.new_key(),
            secondary: self.new_key(),
            created_at: now,
            modified_at: now,
        }
    }

    /// 32 random bytes in base64, as Azure's keys are.
    fn new_key(&self) -> String {
        STANDARD.encode(self.random.bytes::<32>())
    }

    fn with_connection_strings(&self, rule: StoredRule) -> RuleKeys {
        let [primary_connection_string, secondary_connection_string] =
            [&rule.primary, &rule.secondary].map(|key| self.connection_string(&rule.name, key));
        RuleKeys {
            rule,
            primary_connection_string,
            secondary_connection_string,
        }
    }

    fn connection_string(&self, rule: &str, key: &str) -> String {
        let base = url::Url::parse(&self.settings.base_url).ok();
        let host = base.as_ref().and_then(|url| url.host_str());
        let string = ConnectionString {
            host: host.unwrap_or("localhost").to_owned(),
            port: base.as_ref().and_then(url::Url::port),
            key_name: rule.to_owned(),
            key: key.to_owned(),
            entity_path: None,
        };
        string.to_text()
    }
}

/// A name that needs no quoting in a connection string or a path.
pub(super) fn rule_name(name: &str) -> Result<&str> {
    let fits = (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    fits.then_some(name).ok_or_else(|| {
        let message = "A rule's name has 1 to 256 letters, digits, '-', '_' and '.'.";
        Error::invalid("InvalidAuthorizationRuleName", message).at("authorizationRuleName")
    })
}

/// `properties.rights`, in Azure's order, each once. `Manage` brings the other two, as the portal sets them.
fn rights(body: &Map<String, Value>) -> Result<Vec<Right>> {
    let wrong = || {
        let message = "properties.rights must be a list of one or more of Listen, Send and Manage.";
        Error::invalid("InvalidAuthorizationRuleRights", message).at("properties.rights")
    };
    let properties = property(body, "properties").and_then(Value::as_object);
    let list = properties.and_then(|properties| property(properties, "rights")?.as_array());
    let given = list.ok_or_else(wrong)?;
    let given: Vec<Right> = given
        .iter()
        .map(|right| right.as_str().and_then(Right::parse).ok_or_else(wrong))
        .collect::<Result<_>>()?;
    if given.is_empty() {
        return Err(wrong());
    }
    let held = |right: &Right| given.contains(right) || given.contains(&Right::Manage);
    Ok(ALL_RIGHTS.into_iter().filter(held).collect())
}

/// `policyKey`: `PrimaryKey`, `Primary Key`, or the secondary one.
fn is_primary(body: &Map<String, Value>) -> Result<bool> {
    let given = property(body, "policyKey").and_then(Value::as_str);
    let given = given
        .unwrap_or_default()
        .replace(' ', "")
        .to_ascii_lowercase();
    match given.as_str() {
        "primarykey" => Ok(true),
        "secondarykey" => Ok(false),
        _ => {
            let message = "policyKey must be PrimaryKey or SecondaryKey.";
            Err(Error::invalid("InvalidPolicyKey", message).at("policyKey"))
        }
    }
}

fn named(rules: Vec<StoredRule>, of: &ResourceId, name: &str) -> Result<StoredRule> {
    let found = rules.into_iter().find(|rule| rule.is(name));
    found.ok_or_else(|| no_rule(of, name))
}

fn no_rule(of: &ResourceId, name: &str) -> Error {
    let message = format!("The authorization rule '{name}' of {of} was not found.");
    Error::not_found("ResourceNotFound", message)
}

/// In the order in which Azure lists them.
pub(super) const ALL_RIGHTS: [Right; 3] = [Right::Listen, Right::Manage, Right::Send];
const MAX_RULES: usize = 12;
