//! Event subscriptions whose webhooks do not take events, and the containers that their dead letters go to.

use domain::event::Delivery;
use service::checkup::Checkup;
use service::events::{CheckedContainer, Reach, Trouble, UNREACHABLE};
use service::http::Trust;
use wire::arm::ResourceId;

use super::{Finding, Patient, Running};
use crate::app::{self, Mode};
use crate::failure::Result;

pub(super) async fn look(patient: &Patient<'_>, checkup: &Checkup) -> Result<Vec<Finding>> {
    let mut findings = subscriptions(checkup).await?;
    let config = patient.config;
    // Only `carillon dev` has a directory for accounts that the configuration does not know.
    let mode = match &patient.running {
        Running::Yes(environment) if environment.communication.is_some() => Mode::Dev,
        _ => Mode::Serve,
    };
    let letters = app::webhooks::dead_letters(&config.events, mode, &config.data_dir);
    // A file of authorities that cannot be read is said elsewhere.
    let webhooks = app::webhooks::config(&config.webhooks, mode, None);
    let trust = Trust::new(webhooks.map(|webhooks| webhooks.roots).unwrap_or_default());
    let containers = checkup.dead_letters(&letters, &trust).await?;
    findings.extend(containers.iter().map(container));
    Ok(findings)
}

fn container(checked: &CheckedContainer) -> Finding {
    let CheckedContainer {
        account, container, ..
    } = checked;
    let subject = format!("dead letters {account}/{container}");
    let subscriptions: Vec<_> = checked.subscriptions.iter().map(|id| short(id)).collect();
    let of = format!("Those of {}", subscriptions.join(", "));
    let waiting = checked.waiting_since.map_or_else(String::new, |since| {
        let (since, until) = (since.rfc3339_secs(), (since + UNREACHABLE).rfc3339_secs());
        format!(" Some wait since {since}, and are dropped from {until} on.")
    });
    match &checked.reach {
        Reach::Writable => Finding::ok(subject, format!("{of} can be written there.")),
        Reach::Directory(directory) => {
            Finding::ok(subject, format!("{of} are written to {}.", directory.display()))
        }
        Reach::Unknown => Finding::warn(
            subject,
            format!("{of} have no place: the configuration does not say what stands behind the account.{waiting}"),
        )
        .way_out(format!(
            "Name {account} in [events.storage], or take deadLetterDestination from the subscriptions. `carillon dev` needs neither: it writes them to a directory.",
        )),
        Reach::Unwritable(why) => Finding::fail(subject, format!("{of} find no way there. {why}{waiting}")).way_out(format!(
            "Make the container {container}, or mend the endpoint and the key of {account} in [events.storage]; what waits is written then.",
        )),
    }
}

async fn subscriptions(checkup: &Checkup) -> Result<Vec<Finding>> {
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
            Trouble::Refused(why) => (
                format!("Its webhook did not want events, so it gets none. {why}"),
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
