//! Event subscriptions whose webhooks do not take events.

use domain::event::Delivery;
use service::checkup::Checkup;
use service::events::Trouble;
use wire::arm::ResourceId;

use super::Finding;
use crate::failure::Result;

pub(super) async fn look(checkup: &Checkup) -> Result<Vec<Finding>> {
    let (count, sick) = checkup.event_subscriptions().await?;
    if sick.is_empty() {
        let message = format!("No destination fails. Subscriptions: {count}.");
        return Ok(vec![Finding::ok("event subscriptions", message)]);
    }
    let finding = |resource_id: &str, trouble: &Trouble| {
        let subject = format!("event subscription {}", short(resource_id));
        let (message, way_out) = match trouble {
            Trouble::NotValidated => (
                "Its webhook has not said yet that it wants events, so it gets none.".to_owned(),
                "Visit the validation URL that the webhook got, or make the subscription again.",
            ),
            Trouble::Refused => (
                "Its webhook did not want events, so it gets none.".to_owned(),
                "Let the webhook answer the handshake, then make the subscription again; or delete it.",
            ),
            Trouble::Failing(delivery) => (
                failing(delivery),
                "Look at the receiver; `carillon event attempts` shows what it answered. Delete the subscription if nobody wants its events.",
            ),
        };
        Finding::warn(subject, message).way_out(way_out)
    };
    let findings = sick.iter();
    Ok(findings
        .map(|one| finding(&one.resource_id, &one.trouble))
        .collect())
}

fn failing(delivery: &Delivery) -> String {
    let attempts = match delivery.attempts {
        1 => "an attempt".to_owned(),
        many => format!("{many} attempts"),
    };
    let last = delivery.last.as_ref().map_or_else(String::new, |last| {
        let at = last.at.rfc3339_secs();
        format!("; the last, at {at}, ended with {}", last.outcome)
    });
    format!(
        "Its destination has not taken event {} in {attempts}{last}.",
        delivery.event.as_str()
    )
}

/// What it is at, and its name.
fn short(resource_id: &str) -> String {
    let id = ResourceId::parse(resource_id).ok();
    let parts = id.and_then(|id| Some(format!("{}/{}", id.parent()?.name(), id.name())));
    parts.unwrap_or_else(|| resource_id.to_owned())
}
