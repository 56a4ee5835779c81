//! The composition root: from a configuration to a running server, and back.

pub mod configured;
pub mod device_lab;
mod lab_server;
pub mod push;
pub mod webhooks;
mod well_known;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::id::NodeId;
use domain::time::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;
use service::checkup::{Checkup, TENANT};
use service::control::Registrations;
use service::{App, Clock, Random, Settings};
use store::Store;
use store::seal::{KEY_LEN, Seal};
use tokio::task::JoinHandle;
use url::Url;

use self::device_lab::DeviceLab;
pub use self::lab_server::LabServer;
use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::descriptors;
use crate::environment::{Control, Environment};
use crate::failure::{Failure, Result};
use crate::http::{self, Plain, plain};
use crate::listen::{Listener, Port};
use crate::tls::authority::{self, Authority};
use crate::tls::{self, Current, Source};

/// Which of the two servers it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `carillon dev`: well-known credentials, the lab on, loopback only.
    Dev,
    /// `carillon serve`.
    Serve,
}

/// A running server.
pub struct Server {
    app: App,
    https: Listener,
    http: Listener,
    lab: Option<DeviceLab>,
    dir: DataDir,
    /// What keeps `env.json` true.
    follower: Option<JoinHandle<()>>,
    /// How to reach it.
    pub environment: Environment,
}

impl Server {
    /// Starts everything; returns once the server can be reached.
    pub async fn start(config: &Config, mode: Mode, metrics: PrometheusHandle) -> Result<Self> {
        let clock = Clock::System;
        let limits = config.limits.within(descriptors::raise());
        let dir = DataDir::take(&config.data_dir)?;
        let https = Port::bind("--listen", config.listen).await?;
        let http = Port::bind("--http", config.http).await?;
        let names = Names::new(config, https.address, http.address);

        let lab_on = mode == Mode::Dev || config.lab.enabled;
        let authority = authority(config, &dir, &names.hosts, lab_on, &clock)?;
        let source = match (&config.tls, &authority) {
            (None, Some(authority)) => Source::Authority(
                authority.clone(),
                authority::Port::Server,
                names.hosts.clone(),
            ),
            (Some(files), _) => Source::Files(files.clone()),
            (None, None) => {
                return Err(Failure::failed(
                    "there is no certificate for the https port",
                ));
            }
        };
        let current = Current::new(source.certificate(clock.now())?);
        let tls = tls::server_config(current.clone())?;
        let lab = match &authority {
            Some(authority) if lab_on => {
                let addresses = config.lab.addresses(config.listen.port() == 0);
                Some(DeviceLab::start(dir.path(), addresses, authority, &clock).await?)
            }
            _ => None,
        };

        let app = start_app(config, mode, &dir, &names, authority.as_deref()).await?;
        app.tasks
            .spawn(source.renew(current, clock, app.stopping.clone()));
        let ca_file = authority.is_some().then(|| dir.file("ca.pem"));
        let changes = app.control_changes();
        let environment = environment(&app, mode, &names, ca_file, lab.as_ref()).await?;
        let service = http::Service::new(app.clone(), http::table())
            .body_timeout(config.limits.body_timeout());
        let plain = Plain::from(plain::Inner {
            server: Some(plain::Server {
                app: app.clone(),
                service: service.clone(),
                base_url: names.base_url,
            }),
            ca_pem: authority
                .filter(|_| config.tls.is_none())
                .map(|authority| authority.pem.clone()),
            lab: lab.as_ref().map(DeviceLab::control),
            metrics,
        });
        let mut server = Self {
            https: Listener::start(https, Some(tls), &limits, service),
            http: Listener::start(http, None, &limits, plain),
            follower: None,
            app,
            lab,
            dir,
            environment,
        };
        let (environment, dir) = (&server.environment, server.dir.path());
        environment.write(dir)?;
        if mode == Mode::Dev {
            let (app, environment) = (server.app.clone(), environment.clone());
            let follow = well_known::follow(app, changes, environment, dir.to_owned());
            server.follower = Some(server.app.tasks.spawn(follow));
        }
        Ok(server)
    }

    /// A link by which the first administrator is made, once; none where somebody may sign in already.
    pub async fn set_up_link(&self) -> Result<Option<SetUpLink>> {
        let offered = self.app.offer_set_up().await?;
        Ok(offered.map(|set_up| SetUpLink {
            url: format!(
                "{}{}/{}",
                self.app.settings.base_url,
                http::SET_UP_PATH,
                set_up.token.expose_secret()
            ),
            expires_at: set_up.expires_at,
        }))
    }

    /// Stops gracefully: no new requests, those under way end, then the background tasks and the store, then the lab.
    pub async fn stop(self) {
        if let Some(follower) = self.follower {
            follower.abort();
            // It ends as it was told to.
            let _ = follower.await;
        }
        Environment::remove(self.dir.path());
        tokio::join!(self.https.stop(), self.http.stop());
        self.app.stop().await;
        if let Some(lab) = self.lab {
            lab.stop().await;
        }
    }
}

/// Where the first administrator is made.
pub struct SetUpLink {
    /// The address; whoever has it becomes the administrator.
    pub url: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// What the server is called.
pub struct Names {
    /// The public https address without a trailing slash.
    pub base_url: String,
    /// The plain-http address.
    http_url: String,
    /// Every host name, lower-case, without ports.
    pub hosts: Vec<String>,
    /// Those by which clients are told to reach it.
    pub public: Vec<String>,
}

impl Names {
    /// The names of a server that is bound there.
    pub fn new(config: &Config, https: SocketAddr, http: SocketAddr) -> Self {
        let base_url = base_url(config, https);
        let public = public_hosts(config, &base_url);
        Self {
            hosts: hosts(&public),
            public,
            http_url: http_url(http),
            base_url,
        }
    }
}

/// The own authority, where one is needed: for the https port, or for the lab's ports.
fn authority(
    config: &Config,
    dir: &DataDir,
    hosts: &[String],
    lab_on: bool,
    clock: &Clock,
) -> Result<Option<Arc<Authority>>> {
    if config.tls.is_some() && !lab_on {
        return Ok(None);
    }
    let authority = Authority::open(dir, hosts, clock.now())?;
    tls::bundle::write(dir, &authority.pem)?;
    Ok(Some(Arc::new(authority)))
}

async fn start_app(
    config: &Config,
    mode: Mode,
    dir: &DataDir,
    names: &Names,
    authority: Option<&Authority>,
) -> Result<App> {
    let random = Random::System;
    let store = open_store(config, dir, &random).await?;
    let settings = Settings {
        node: node(dir, &random)?,
        base_url: names.base_url.clone(),
        hosts: names.hosts.clone(),
        tenant_id: tenant(config, &store, &random).await?,
        subscriptions: subscriptions(config),
        dev: mode == Mode::Dev,
        identity: config.limits.identity_rates(mode),
        // So that the lab is believed.
        push: push::lanes(
            &config.push,
            authority.map(|authority| authority.certificate.clone()),
        )?,
        sends: push::sends(&config.push),
        events: webhooks::events(&config.events)?,
        calls: config.calls.config(),
        dead_letters: webhooks::dead_letters(&config.events, mode, dir.path()),
        webhooks: webhooks::config(
            &config.webhooks,
            mode,
            authority.map(|authority| authority.certificate.clone()),
        )?,
    };
    Ok(App::start(store, Clock::System, random, settings).await?)
}

/// How to reach the server. What `carillon dev` promises is made on the way, and taken away by `carillon serve`.
async fn environment(
    app: &App,
    mode: Mode,
    names: &Names,
    ca_file: Option<PathBuf>,
    lab: Option<&DeviceLab>,
) -> Result<Environment> {
    let mut environment = Environment {
        pid: Some(std::process::id()),
        base_url: Some(names.base_url.clone()),
        http_url: names.http_url.clone(),
        ca_file,
        control: Some(Control::of(app)),
        communication: None,
        hub: None,
        eventgrid: None,
        lab: lab.map(|lab| lab.environment(&names.http_url)),
    };
    match mode {
        Mode::Dev => well_known::make(app, lab, &mut environment).await?,
        Mode::Serve => well_known::remove(app).await?,
    }
    Ok(environment)
}

fn base_url(config: &Config, bound: SocketAddr) -> String {
    let url = match &config.base_url {
        Some(url) => url.clone(),
        None if bound.ip().is_loopback() || bound.ip().is_unspecified() => {
            format!("https://localhost:{}", bound.port())
        }
        None => format!("https://{bound}"),
    };
    url.trim_end_matches('/').to_owned()
}

fn http_url(bound: SocketAddr) -> String {
    if bound.ip().is_loopback() || bound.ip().is_unspecified() {
        format!("http://localhost:{}", bound.port())
    } else {
        format!("http://{bound}")
    }
}

/// The host of the base URL, and those of the configuration.
fn public_hosts(config: &Config, base_url: &str) -> Vec<String> {
    let url = Url::parse(base_url).ok();
    let of_url = url.as_ref().and_then(Url::host_str);
    let hosts = of_url
        .into_iter()
        .chain(config.hosts.iter().map(String::as_str));
    hosts
        .map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase())
        .filter(|host| !host.is_empty())
        .collect()
}

fn hosts(public: &[String]) -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    for host in public {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}

/// The app registrations of a data directory, whether or not a server runs in it: a running one takes changes up
/// within seconds.
pub async fn registrations(config: &Config) -> Result<Registrations> {
    let random = Random::System;
    let store = if data_dir::in_use(&config.data_dir) {
        let master = read_master(&master_key_file(config))?;
        open(config, &master, &config.data_dir).await?
    } else {
        open_store(config, &DataDir::take(&config.data_dir)?, &random).await?
    };
    Ok(Registrations::new(store, Clock::System, random))
}

async fn open_store(config: &Config, dir: &DataDir, random: &Random) -> Result<Store> {
    let made = || hex::encode(random.bytes::<KEY_LEN>());
    let master = match &config.master_key_file {
        Some(path) => read_master(path)?,
        None => dir.secret(MASTER_KEY, made)?,
    };
    open(config, &master, dir.path()).await
}

fn read_master(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| data_dir::cannot("read", path, &error))
}

async fn open(config: &Config, master: &str, dir: &Path) -> Result<Store> {
    Store::open(&database_url(config, dir), seal(master)?)
        .await
        .map_err(unopened)
}

/// A look at the database as it is, whether or not a server runs; nothing is made and nothing changed. Without a
/// master key no secret can be opened, which is none in a new database.
pub async fn checkup(config: &Config) -> Result<Checkup> {
    let file = master_key_file(config);
    let is_new = config.master_key_file.is_none() && !file.exists();
    let seal = match is_new {
        true => Seal::new(&[0; KEY_LEN]),
        false => seal(&read_master(&file)?)?,
    };
    let store = Store::open_as_is(&database_url(config, &config.data_dir), seal)
        .await
        .map_err(unopened)?;
    Ok(Checkup::new(store, Clock::System, Random::System))
}

fn seal(master: &str) -> Result<Seal> {
    let mut key = [0; KEY_LEN];
    hex::decode_to_slice(master.trim(), &mut key).map_err(|_| {
        Failure::usage(format!(
            "the master key must be {} hexadecimal digits",
            2 * KEY_LEN
        ))
    })?;
    Ok(Seal::new(&key))
}

fn unopened(error: store::Error) -> Failure {
    let failure = match &error {
        store::Error::UnknownEngine(_) => Failure::usage(error.to_string()),
        _ => Failure::failed(error),
    };
    failure.way_out("look at `database` or --database")
}

/// The database of a server with this data directory.
pub fn database_url(config: &Config, dir: &Path) -> String {
    let default = || sqlite_url(&dir.join("carillon.db"));
    config.database.clone().unwrap_or_else(default)
}

/// The file of the master key.
pub fn master_key_file(config: &Config) -> PathBuf {
    let default = || config.data_dir.join(MASTER_KEY);
    config.master_key_file.clone().unwrap_or_else(default)
}

/// The file of the master key, unless the configuration names another.
const MASTER_KEY: &str = "master.key";

fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// The id of this node among those that share the database: the data directory's, which one process has at a time.
fn node(dir: &DataDir, random: &Random) -> Result<NodeId> {
    let id = dir.secret("node.id", || random.uuid().to_string())?;
    Ok(NodeId::new(id.trim()))
}

/// The tenant id: what the configuration says, else one made at the first start. Two servers on one machine need
/// different ones, for clients keep their tokens by tenant.
async fn tenant(config: &Config, store: &Store, random: &Random) -> Result<String> {
    if let Some(id) = config.tenant {
        return Ok(id.to_string());
    }
    let id = store
        .secret_or_insert(TENANT, || random.uuid().to_string())
        .await
        .map_err(Failure::failed)?;
    Ok(id.expose_secret().to_owned())
}

fn subscriptions(config: &Config) -> Vec<service::Subscription> {
    config
        .subscriptions
        .iter()
        .map(|subscription| service::Subscription {
            id: subscription.id.to_string(),
            name: subscription.name.clone(),
        })
        .collect()
}
