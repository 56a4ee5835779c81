//! The database, the master key, who may sign in, and whether push services believe the hubs' credentials.

use std::path::PathBuf;

use domain::push::Platform;
use service::checkup::{Checkup, MasterKey, Schema};
use service::hubs::{Ask, Belief, CheckedHub};

use super::{Finding, Patient, Running, events, files};
use crate::app;
use crate::data_dir;
use crate::failure::{Failure, Result};
use crate::tls::authority::Authority;

const DATABASE: &str = "database";
const MASTER: &str = "master key";

pub(super) async fn look(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config;
    let key_file = app::master_key_file(config);
    let url = app::database_url(config, &config.data_dir);
    let file = data_dir::sqlite_file(&url);
    let is_new = file.as_ref().is_some_and(|file| !file.exists());
    if let Some(file) = file.filter(|_| is_new) {
        return vec![to_be_made(patient, &file)];
    }
    let mut findings = Vec::new();
    if config.master_key_file.is_some() {
        findings.extend(files::readable_by_others(&key_file));
    }
    match app::checkup(config).await {
        Ok(checkup) => findings.extend(examined(patient, &checkup).await),
        Err(failure) => {
            let way_out = "The file of the master key must be one that the user of Carillon may read: 64 hexadecimal digits.";
            findings.push(Finding::of(DATABASE, failure).or_way_out(way_out));
        }
    }
    findings
}

/// A database that the first start makes: there must be a place for it.
fn to_be_made(patient: &Patient<'_>, file: &std::path::Path) -> Finding {
    let shown = file.display();
    let folder = file.parent().map(PathBuf::from).unwrap_or_default();
    let made_too = folder == patient.config.data_dir;
    if made_too || folder.as_os_str().is_empty() || folder.is_dir() {
        return Finding::ok(
            DATABASE,
            format!("{shown} is not there yet; the first start makes it."),
        );
    }
    Finding::fail(
        DATABASE,
        format!(
            "{shown} cannot be made: {} is no directory.",
            folder.display()
        ),
    )
    .way_out("Make the directory, or mend `database` or --database.")
}

async fn examined(patient: &Patient<'_>, checkup: &Checkup) -> Vec<Finding> {
    let engine = checkup.engine();
    let schema = match checkup.schema().await {
        Ok(schema) => schema,
        Err(error) => return vec![Finding::of(DATABASE, unread(error.into()))],
    };
    let mut findings = vec![schema_finding(engine, &schema)];
    let key_file = app::master_key_file(patient.config);
    if schema != Schema::Empty && !key_file.exists() {
        let message = format!("{} is not there, but a database is.", key_file.display());
        findings.push(Finding::fail(MASTER, message).way_out(
            "Put back the master.key that its secrets were sealed with, or set `master_key_file`; a new key opens none of them.",
        ));
        return findings;
    }
    // Statements of this program fit no other schema.
    if schema != Schema::Current {
        return findings;
    }
    let more = async {
        let master = checkup.master_key().await?;
        findings.push(master_finding(master));
        if master == MasterKey::DoesNotFit {
            return Ok(());
        }
        findings.extend(checkup.seconds_ahead().await?.map(clock));
        findings.push(sign_in(checkup.who_may_sign_in().await?));
        for hub in hubs(patient, checkup).await? {
            findings.extend(hub_findings(&hub));
        }
        findings.extend(events::look(patient, checkup).await?);
        Result::Ok(())
    };
    if let Err(failure) = more.await {
        findings.push(Finding::of(DATABASE, unread(failure)));
    }
    findings
}

fn unread(failure: Failure) -> Failure {
    failure.way_out("look at `database` or --database, or put back a copy")
}

fn schema_finding(engine: &str, schema: &Schema) -> Finding {
    match schema {
        Schema::Current => Finding::ok(DATABASE, format!("{engine} answers; its schema is up to date.")),
        Schema::Empty => Finding::ok(
            DATABASE,
            format!("{engine} answers; it is empty, and the first start makes its tables."),
        ),
        Schema::Behind(count) => Finding::warn(DATABASE, format!("{engine} answers; {count} migrations are to be run."))
            .way_out("The next start of the server runs them; make a copy of the database first."),
        Schema::Ahead(versions) => Finding::fail(
            DATABASE,
            format!("A newer Carillon has used this database: this one does not know the migrations {versions:?}."),
        )
        .way_out("Start the newer version, or put back a copy of the database from before."),
        Schema::Different(versions) => Finding::fail(
            DATABASE,
            format!("The migrations {versions:?} of this database were made by another build of Carillon."),
        )
        .way_out("Start the build that made it, or begin with a new database."),
    }
}

fn master_finding(master: MasterKey) -> Finding {
    match master {
        MasterKey::Fits => Finding::ok(MASTER, "It opens what is sealed in the database."),
        MasterKey::Unused => Finding::ok(MASTER, "Nothing is sealed in the database yet."),
        MasterKey::DoesNotFit => {
            Finding::fail(MASTER, "It is not the key that the secrets in the database were sealed with.").way_out(
                "Put back the master.key that belongs to this database, or name it with `master_key_file`; every node needs the same.",
            )
        }
    }
}

/// Nodes take each other for gone, and users' tokens for expired, by their clocks.
fn clock(ahead: f64) -> Finding {
    const SUBJECT: &str = "clock";
    let (by, which) = (ahead.abs(), if ahead < 0.0 { "behind" } else { "ahead of" });
    if by < 1.0 {
        return Finding::ok(SUBJECT, "It agrees with the database's.");
    }
    let message = format!("It is {by:.1} seconds {which} the database's.");
    let finding = if by < 5.0 {
        Finding::warn(SUBJECT, message)
    } else {
        Finding::fail(SUBJECT, message)
    };
    finding.way_out(
        "Let NTP keep the clocks of this machine, of the other nodes and of the database together.",
    )
}

fn sign_in(count: usize) -> Finding {
    const SUBJECT: &str = "sign-in";
    match count {
        0 => Finding::warn(SUBJECT, "Nobody may sign in to the control plane.").way_out(
            "Use the set-up link that `carillon serve` prints, or run `carillon app create NAME`.",
        ),
        count => Finding::ok(
            SUBJECT,
            format!("App registrations and users who may sign in: {count}."),
        ),
    }
}

/// Asks the push services. Those on this machine are the lab's, which answers only beside a server.
async fn hubs(patient: &Patient<'_>, checkup: &Checkup) -> Result<Vec<CheckedHub>> {
    let ask = match patient.running {
        Running::Yes(_) => Ask::All,
        Running::No | Running::Unknown => Ask::Elsewhere,
    };
    // The lab is believed by the authority that made its certificate. What cannot be read is said elsewhere.
    let authority = Authority::read(&patient.config.data_dir).ok();
    let authority = authority.map(|authority| authority.certificate);
    let lanes = app::push::lanes(&patient.config.push, authority);
    Ok(checkup.hubs(ask, lanes.unwrap_or_default()).await?)
}

fn hub_findings(hub: &CheckedHub) -> Vec<Finding> {
    let name = hub
        .resource_id
        .rsplit("/namespaces/")
        .next()
        .unwrap_or_default();
    let name = name.replacen("/notificationHubs/", "/", 1);
    if hub.credentials.is_empty() {
        return vec![
            Finding::warn(
                format!("hub {name}"),
                "It has no credential for APNs or FCM, so it reaches no phone.",
            )
            .way_out("Give it an APNs key or an FCM service account."),
        ];
    }
    let of = |(platform, belief): &(Platform, Belief)| {
        let (service, credential) = match platform {
            Platform::Apns => ("APNs", "apnsCredential"),
            Platform::Fcm => ("FCM", "fcmV1Credential"),
        };
        let subject = format!("hub {name}, {service}");
        match belief {
            Belief::Believed => Finding::ok(subject, format!("{service} believes the credential.")),
            Belief::NotAsked => Finding::ok(
                subject,
                "The key is good; its endpoint is on this machine and is asked only while the server runs.",
            ),
            Belief::Refused(why) => Finding::fail(subject, format!("{service} refuses the credential: {why}."))
                .way_out(format!("Set the hub's `{credential}` anew, with a key that is valid for this app.")),
            Belief::Unanswered(why) => Finding::fail(subject, format!("{service} could not be asked: {why}."))
                .way_out(format!("Look at the endpoint in the hub's `{credential}`, and whether this machine may reach it.")),
            Belief::Certificate => Finding::warn(subject, "The credential is a certificate, which Carillon does not send with.")
                .way_out("Give the hub an APNs authentication key (token mode)."),
            Belief::Unusable(why) => Finding::fail(subject, format!("The credential cannot work: {why}"))
                .way_out(format!("Set the hub's `{credential}` anew.")),
        }
    };
    hub.credentials.iter().map(of).collect()
}
