//! What everybody knows about `carillon dev`: an app registration and a user. `carillon serve` removes them.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use service::App;
use service::control::Seeded;
use tokio::sync::watch;
use wire::arm::ResourceId;
use wire::arm::connection_string::ConnectionString;

use super::device_lab::DeviceLab;
use crate::environment::{Communication, ConnectionStrings, Control, Environment, EventGrid, Hub};
use crate::failure::Result;

/// The client id of the app registration.
pub const CLIENT_ID: &str = "0ca71110-0000-4000-8000-000000000001";
/// Its secret. It opens a server that listens on loopback only.
const CLIENT_SECRET: &str = "carillon-dev-secret";
/// The user.
const USERNAME: &str = "admin@local";
/// The user's password.
const PASSWORD: &str = "carillon-dev-password";

/// Makes what `carillon dev` promises at its first start, and says it in `environment`.
pub async fn make(app: &App, lab: Option<&DeviceLab>, environment: &mut Environment) -> Result<()> {
    app.ensure_dev_app(CLIENT_ID, &CLIENT_SECRET.into()).await?;
    app.ensure_user(USERNAME, &PASSWORD.into()).await?;
    let credentials = lab.map(DeviceLab::hub_credentials).unwrap_or_default();
    let seeded = app.seed_dev(&credentials).await?;
    environment.control = Some(Control {
        resource_group: Some(seeded.group.to_owned()),
        client_id: Some(CLIENT_ID.to_owned()),
        client_secret: Some(CLIENT_SECRET.to_owned()),
        username: Some(USERNAME.to_owned()),
        password: Some(PASSWORD.to_owned()),
        ..Control::of(app)
    });
    environment.communication = Some(communication(app, &seeded));
    environment.hub = Some(hub(&seeded));
    environment.eventgrid = Some(EventGrid {
        topic: seeded.topic.name().to_owned(),
        endpoint: seeded.topic_endpoint,
        key: text(&seeded.topic_key),
    });
    Ok(())
}

/// Keeps `env.json` true: keys that it holds may be made anew while the server runs.
pub async fn follow(
    app: App,
    mut changes: watch::Receiver<()>,
    mut environment: Environment,
    data_dir: PathBuf,
) {
    while changes.changed().await.is_ok() {
        let before = environment.to_json();
        refresh(&app, &mut environment).await;
        if environment.to_json() == before {
            continue;
        }
        if let Err(failure) = environment.write(&data_dir) {
            tracing::warn!(%failure, "env.json does not have the new keys");
        }
    }
}

/// The keys as they are now. Those of a resource that is no more stay as they were.
async fn refresh(app: &App, environment: &mut Environment) {
    if let Some(communication) = &mut environment.communication
        && let Ok(id) = ResourceId::parse(&communication.resource_id)
        && let Ok((key, _)) = app.communication_keys(&id).await
    {
        communication.access_key = text(&key);
        communication.connection_string = app.communication_connection_string(&key);
    }
    if let Some(hub) = &mut environment.hub
        && let Ok(id) = ResourceId::parse(&hub.resource_id)
    {
        let strings = &mut hub.connection_strings;
        for held in [&mut strings.listen, &mut strings.send, &mut strings.full] {
            if let Ok(connection) = ConnectionString::parse(held)
                && let Ok(keys) = app.hub_rule_keys(&id, &connection.key_name).await
            {
                *held = keys.primary_connection_string;
            }
        }
    }
    if let Some(held) = &mut environment.eventgrid
        && let Some(topic) = app.topic(&held.topic)
        && let Ok([key, _]) = app.topic_keys(&topic.id).await
    {
        held.key = text(&key);
    }
}

/// Takes away what `carillon dev` made for everybody to know.
pub async fn remove(app: &App) -> Result<()> {
    if app
        .list_apps()
        .iter()
        .any(|known| known.client_id == CLIENT_ID)
    {
        app.delete_app(CLIENT_ID).await?;
        tracing::warn!("removed the well-known app registration of `carillon dev`");
    }
    if app.delete_user(USERNAME).await? {
        tracing::warn!("removed the well-known user of `carillon dev`");
    }
    Ok(())
}

fn communication(app: &App, seeded: &Seeded) -> Communication {
    Communication {
        name: seeded.communication.name().to_owned(),
        resource_id: seeded.communication.as_str().to_owned(),
        endpoint: format!("{}/", app.settings.base_url),
        access_key: text(&seeded.access_key),
        connection_string: text(&seeded.connection_string),
    }
}

fn hub(seeded: &Seeded) -> Hub {
    let [listen, send, full] = &seeded.hub_strings;
    let namespace = seeded.hub.parent();
    Hub {
        namespace: namespace.map(|id| id.name().to_owned()).unwrap_or_default(),
        name: seeded.hub.name().to_owned(),
        resource_id: seeded.hub.as_str().to_owned(),
        connection_strings: ConnectionStrings {
            listen: text(listen),
            send: text(send),
            full: text(full),
        },
    }
}

fn text(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}
