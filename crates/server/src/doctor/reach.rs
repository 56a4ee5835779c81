//! Ports and addresses: of a running server whether they answer, else whether they are free.

use std::time::Duration;

use serde_json::Value;

use super::{Finding, Patient, Running};
use crate::cli::client::{Client, unreachable};
use crate::environment::Environment;
use crate::listen::Port;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn look(patient: &Patient<'_>) -> Vec<Finding> {
    match &patient.running {
        Running::No => free(patient).await,
        Running::Unknown => Vec::new(),
        Running::Yes(environment) => answers(environment).await,
    }
}

/// The ports that the next start takes.
async fn free(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config;
    let mut ports = vec![
        ("https port", "--listen", config.listen),
        ("plain-http port", "--http", config.http),
    ];
    if config.lab.enabled {
        let lab = config.lab.addresses(config.listen.port() == 0);
        ports.extend([
            ("APNs port of the lab", "`lab.apns`:", lab.apns),
            ("FCM port of the lab", "`lab.fcm`:", lab.fcm),
            ("Web Push port of the lab", "`lab.webpush`:", lab.webpush),
        ]);
    }
    let mut findings = Vec::new();
    for (subject, flag, address) in ports {
        findings.push(match Port::bind(flag, address).await {
            Ok(port) => Finding::ok(subject, format!("{} is free.", port.address)),
            Err(failure) => Finding::of(subject, failure),
        });
    }
    findings
}

/// The addresses that a running server names.
async fn answers(environment: &Environment) -> Vec<Finding> {
    let mut findings = vec![ready(environment).await];
    if environment.base_url.is_some() {
        findings.push(base_url(environment).await);
    }
    findings
}

/// It has the data directory and does not answer.
const STARTING: &str =
    "it may still be starting: `carillon wait` returns when it is ready, and its log says more";

async fn ready(environment: &Environment) -> Finding {
    const SUBJECT: &str = "plain-http port";
    let url = format!("{}/readyz", environment.http_url);
    let client = match crate::cli::client::http_client(None, true) {
        Ok(client) => client,
        Err(failure) => return Finding::of(SUBJECT, failure),
    };
    match client.get(&url).timeout(WITHIN).send().await {
        Err(error) => Finding::of(
            SUBJECT,
            unreachable(&environment.http_url, &error).way_out(STARTING),
        ),
        Ok(answer) if answer.status().is_success() => Finding::ok(
            SUBJECT,
            format!("{} answers: the server is ready.", environment.http_url),
        ),
        Ok(answer) => {
            let status = answer.status();
            let why = answer.text().await.unwrap_or_default();
            Finding::fail(SUBJECT, format!("{url} answers {status}: {}.", why.trim()))
                .way_out("The server's log says more.")
        }
    }
}

/// That this server, and no other one, answers where clients look for it, with a certificate that they believe.
async fn base_url(environment: &Environment) -> Finding {
    const SUBJECT: &str = "base URL";
    let client = match Client::of(environment.clone()) {
        Ok(client) => client,
        Err(failure) => return Finding::of(SUBJECT, failure),
    };
    let url = format!(
        "{}/metadata/endpoints?api-version=2022-09-01",
        client.base_url
    );
    let way_out =
        "Name resolution, a proxy or a firewall may be in the way, or `base_url` is wrong.";
    let answer = match client.http.get(&url).timeout(WITHIN).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let (message, _) = client.unreachable(&error).into_parts();
            return Finding::fail(SUBJECT, message).way_out(way_out);
        }
    };
    let status = answer.status();
    let metadata: Value = match answer.text().await {
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(error) => return Finding::of(SUBJECT, client.unreachable(&error)),
    };
    let own = environment
        .control
        .as_ref()
        .and_then(|control| control.tenant_id.as_deref());
    if metadata["authentication"]["tenant"].as_str() == own {
        return Finding::ok(
            SUBJECT,
            format!(
                "{} answers with a certificate that clients believe.",
                client.base_url
            ),
        );
    }
    Finding::fail(
        SUBJECT,
        format!(
            "{} is answered by another server ({status}).",
            client.base_url
        ),
    )
    .way_out(way_out)
}
