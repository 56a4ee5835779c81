//! The lab as a whole: its listeners, and what they share.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::apns::Apns;
use crate::clock::Clock;
use crate::control;
use crate::credentials::{ApnsKey, Credentials, ServiceAccount};
use crate::device::registry::Registry;
use crate::fault::Faults;
use crate::fcm::Fcm;
use crate::serve::{self, House, StandIn};
use crate::stats::Stats;
use crate::webhook::Webhooks;
use crate::webpush::WebPush;

/// What a lab is started with.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// Where its credentials and devices are kept: `DIR/lab-credentials.json`, `DIR/lab-devices.jsonl`.
    pub data_dir: PathBuf,
    /// Where the APNs stand-in listens; port 0 takes a free one.
    pub apns: SocketAddr,
    /// Where the FCM stand-in and its token endpoint listen.
    pub fcm: SocketAddr,
    /// Where the Web Push stand-in listens.
    pub webpush: SocketAddr,
    /// The certificate. The lab sets ALPN itself.
    pub tls: Arc<rustls::ServerConfig>,
    /// The name in the lab's addresses, which the certificate must have: usually `localhost`.
    pub host: String,
    /// Where time comes from.
    pub clock: Clock,
}

/// Where a lab's listeners are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The APNs stand-in.
    pub apns: SocketAddr,
    /// The FCM stand-in.
    pub fcm: SocketAddr,
    /// The Web Push stand-in.
    pub webpush: SocketAddr,
}

/// A running lab.
pub struct Lab {
    shared: Arc<Shared>,
    addresses: Addresses,
    house: House,
}

/// What the listeners and the control API share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) credentials: Credentials,
    pub(crate) devices: Registry,
    pub(crate) faults: Faults,
    pub(crate) webhooks: Webhooks,
    pub(crate) stats: Arc<Stats>,
    pub(crate) urls: Urls,
}

/// The lab's addresses as senders know them.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    pub(crate) apns: String,
    pub(crate) fcm: String,
    pub(crate) webpush: String,
}

impl Lab {
    /// Opens the listeners and serves until [`Lab::stop`].
    pub async fn start(config: LabConfig) -> io::Result<Self> {
        let directory = config.data_dir.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let devices = Registry::open(&directory.join("lab-devices.jsonl"))?;
            Credentials::open(&directory).map(|credentials| (credentials, devices))
        });
        let (apns, fcm, webpush) =
            tokio::try_join!(bind(config.apns), bind(config.fcm), bind(config.webpush))?;
        let addresses = Addresses {
            apns: apns.local_addr()?,
            fcm: fcm.local_addr()?,
            webpush: webpush.local_addr()?,
        };
        let house = House {
            stats: Arc::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let (credentials, devices) = kept.await.map_err(io::Error::other)??;
        let shared = Arc::new(Shared {
            clock: config.clock,
            credentials,
            devices,
            faults: Faults::default(),
            webhooks: Webhooks::default(),
            stats: house.stats.clone(),
            urls: Urls::new(&config.host, addresses),
        });
        let lab = Self {
            shared,
            addresses,
            house,
        };
        let (alpn, shared) = ([&b"h2"[..], b"http/1.1"], &lab.shared);
        lab.serve(
            apns,
            tls(&config.tls, &alpn[..1]),
            Apns::new(shared.clone()),
        );
        lab.serve(fcm, tls(&config.tls, &alpn), Fcm::new(shared.clone())?);
        lab.serve(
            webpush,
            tls(&config.tls, &alpn),
            WebPush::new(shared.clone()),
        );
        Ok(lab)
    }

    /// Where the listeners are.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The control API, with the paths `/lab/…`.
    pub fn control(&self) -> Router {
        control::router(self.shared.clone())
    }

    /// The APNs credential a sender may use.
    pub fn apns_key(&self) -> Option<ApnsKey> {
        self.shared.credentials.apns()
    }

    /// The service account a sender may use.
    pub fn service_account(&self) -> &ServiceAccount {
        self.shared.credentials.account()
    }

    /// The service-account file a sender may use; its `token_uri` points here.
    pub fn service_account_file(&self) -> Value {
        self.shared
            .credentials
            .account()
            .file(&self.shared.urls.fcm)
    }

    /// The addresses as `env.json` names them, without the control API's.
    pub fn urls(&self) -> Value {
        let urls = &self.shared.urls;
        json!({
            "apns_url": urls.apns,
            "fcm_url": urls.fcm,
            "fcm_token_url": format!("{}/token", urls.fcm),
            "webpush_url": urls.webpush,
        })
    }

    /// Stops: open requests get a moment, then every connection is closed.
    pub async fn stop(&self) {
        self.house.stopping.cancel();
        self.house.tasks.close();
        let _ = tokio::time::timeout(STOP, self.house.tasks.wait()).await;
    }

    fn serve<S: StandIn>(&self, listener: TcpListener, tls: Arc<rustls::ServerConfig>, it: S) {
        let house = self.house.clone();
        self.house
            .tasks
            .spawn(serve::serve(listener, tls, Arc::new(it), house));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.house.stopping.cancel();
    }
}

impl Urls {
    fn new(host: &str, addresses: Addresses) -> Self {
        let url = |address: SocketAddr| format!("https://{host}:{}", address.port());
        Self {
            apns: url(addresses.apns),
            fcm: url(addresses.fcm),
            webpush: url(addresses.webpush),
        }
    }
}

/// A listener; its error says which address it is about.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

/// The caller's certificate with a stand-in's own ALPN. A client that offers none is served all the same.
fn tls(base: &rustls::ServerConfig, alpn: &[&[u8]]) -> Arc<rustls::ServerConfig> {
    let mut tls = base.clone();
    tls.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    Arc::new(tls)
}

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(5);
