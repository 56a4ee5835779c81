//! How to reach a server that is configured and does not run: what can be known without it.

use service::Subscription;

use super::{Names, checkup, database_url, subscriptions};
use crate::config::Config;
use crate::data_dir;
use crate::environment::{Control, Environment, Lab};
use crate::failure::{Failure, Result};

/// What `carillon env` prints of it. Keys and secrets are with the resources, which only a running server hands out.
pub async fn environment(config: &Config) -> Result<Environment> {
    for (key, address) in [("listen", config.listen), ("http", config.http)] {
        let is_needed = key == "http" || config.base_url.is_none();
        if address.port() == 0 && is_needed {
            return Err(Failure::failed(format!(
                "`{key}` takes any free port, so nobody knows the address of a server that does not run"
            ))
            .way_out("start it, or give it a port"));
        }
    }
    let names = Names::new(config, config.listen, config.http);
    let dir = data_dir::absolute(&config.data_dir);
    let has_authority = config.tls.is_none() || config.lab.enabled;
    let subscription = subscriptions(config).into_iter().next();
    let subscription = subscription.map(|Subscription { id, .. }| id);
    Ok(Environment {
        pid: None,
        base_url: Some(names.base_url),
        ca_file: has_authority.then(|| dir.join("ca.pem")),
        control: Some(Control::new(
            subscription.unwrap_or_default(),
            tenant(config).await?,
        )),
        communication: None,
        hub: None,
        eventgrid: None,
        lab: config.lab.enabled.then(|| lab(config, &names.http_url)),
        http_url: names.http_url,
    })
}

/// The configuration's tenant, else the one that the first start made.
async fn tenant(config: &Config) -> Result<Option<String>> {
    if let Some(id) = config.tenant {
        return Ok(Some(id.to_string()));
    }
    let file = data_dir::sqlite_file(&database_url(config, &config.data_dir));
    if file.is_some_and(|file| !file.exists()) {
        return Ok(None);
    }
    Ok(checkup(config).await?.tenant().await?)
}

fn lab(config: &Config, http_url: &str) -> Lab {
    let addresses = config.lab.addresses(false);
    let url = |port: u16| format!("https://localhost:{port}");
    Lab {
        control_url: format!("{http_url}/lab"),
        apns_url: url(addresses.apns.port()),
        fcm_url: url(addresses.fcm.port()),
        fcm_token_url: format!("{}/token", url(addresses.fcm.port())),
        webpush_url: url(addresses.webpush.port()),
    }
}
