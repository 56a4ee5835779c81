//! The one object that every use case is a method of.

use std::sync::Arc;

use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::callautomation::CallbackKey;
use crate::control::Control;
use crate::events;
use crate::hubs;
use crate::identity::{IdentityUse, TokenSecret};
use crate::push::Lanes;
use crate::webhook::Webhooks;
use crate::{Clock, Random, Result, Settings};

/// Everything that lives as long as the process. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

/// The parts of [`App`]; each subject's file says what it keeps here.
pub struct Inner {
    /// The database.
    pub(crate) store: Store,
    /// The server's part of the keys that sign users' tokens.
    pub(crate) token_secret: TokenSecret,
    /// The key that signs callbacks.
    pub(crate) callback_key: CallbackKey,
    /// The source of time.
    pub clock: Clock,
    /// The source of chance.
    pub random: Random,
    /// What the configuration decided.
    pub settings: Settings,
    /// The ways to the platform push services.
    pub lanes: Lanes,
    /// The way to customers' URLs.
    pub webhooks: Webhooks,
    /// Tasks that a stop waits for.
    pub tasks: TaskTracker,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// How often each communication resource did what to its identities.
    pub(crate) identity_use: IdentityUse,
    /// Sign-in, communication resources and links, for every request.
    pub(crate) control: Control,
    /// Every topic and event subscription, for the data plane.
    pub(crate) events: events::Directory,
    /// What delivers events.
    pub(crate) deliveries: events::Deliveries,
    /// Every namespace and hub, for the data plane.
    pub(crate) hubs: hubs::Directory,
    /// What hubs are sending.
    pub(crate) sends: hubs::Sends,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl App {
    /// Builds the app on an open store and starts its background tasks.
    pub async fn start(
        store: Store,
        clock: Clock,
        random: Random,
        settings: Settings,
    ) -> Result<Self> {
        let tasks = TaskTracker::new();
        let stopping = CancellationToken::new();
        let lanes = Lanes::new(
            settings.push.clone(),
            clock.clone(),
            random.clone(),
            &tasks,
            &stopping,
        );
        let webhooks = Webhooks::new(settings.webhooks.clone(), clock.clone(), &tasks, &stopping);
        let deliveries = events::Deliveries::new(&store, &settings.node);
        let sends = hubs::Sends::new(&store, settings.node.clone(), settings.sends.clone());
        let control = Control::open(&store, &random).await?;
        let token_secret = TokenSecret::open(&store, &random).await?;
        let inner = Inner {
            store,
            token_secret,
            callback_key: CallbackKey::default(),
            control,
            identity_use: IdentityUse::default(),
            clock,
            random,
            settings,
            lanes,
            webhooks,
            tasks,
            stopping,
            events: events::Directory::default(),
            deliveries,
            hubs: hubs::Directory::default(),
            sends,
        };
        let app = Self {
            inner: Arc::new(inner),
        };
        app.watch_control();
        app.refresh_hubs().await?;
        app.refresh_events().await?;
        app.recover_events().await?;
        app.tasks.spawn(app.clone().follow_backlogs());
        app.recover_handshakes()?;
        app.tasks.spawn(app.clone().sweep_event_subscriptions());
        app.tasks.spawn(app.clone().write_dead_letters());
        app.tasks.spawn(app.clone().sweep_events());
        app.tasks.spawn(app.clone().follow_hubs());
        app.join_nodes().await?;
        app.tasks.spawn(app.clone().keep_lease());
        app.tasks.spawn(app.clone().sweep_notifications());
        app.tasks.spawn(app.clone().sweep_devices());
        app.warm_links();
        app.recover_deadlines().await?;
        app.tasks.spawn(app.clone().watch_overdue_calls());
        app.tasks.spawn(app.clone().sweep_calls());
        Ok(app)
    }

    /// Whether the store works.
    pub async fn ready(&self) -> Result<()> {
        Ok(self.store.ping().await?)
    }

    /// Stops the background tasks, waits for them, and closes the store.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.leave_nodes().await;
        self.store.close().await;
    }
}
