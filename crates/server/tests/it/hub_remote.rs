//! A communication resource here, linked to a hub on another server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use carillon::config::Limits;
use carillon::listen::{Listener, Port};
use domain::resource::Actor;
use serde_json::json;
use service::Clock;
use wire::arm::ResourceId;

use crate::comm::Comm;
use crate::hub::{HUB, Hub, RULE, object, unreachable};
use crate::phones::{Phones, certificate};
use crate::support::{NOW, TestApp};

#[tokio::test]
async fn a_hub_on_another_server_rings_the_same_phones() {
    let clock = Clock::manual(NOW);
    let phones = Phones::start(&clock).await;
    let there = TestApp::start_trusting(clock.clone(), vec![phones.root.clone()]).await;
    let there = Hub::of(there, phones.hub()).await;
    let (tls, root) = certificate();
    let port = Port::bind("--listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let address = port.address;
    let service = there.test.service.clone();
    let listener = Listener::start(port, Some(tls), &Limits::default(), service);

    let here = TestApp::start_trusting(clock, vec![root]).await;
    let here = Comm::of(here, &unreachable()).await;
    let hub = ResourceId::parse(HUB).unwrap();
    let key = there.test.app.hub_rule_keys(&hub, RULE).await.unwrap();
    let key = &key.rule.primary;
    let link = object(json!({
        "connectionString":
            format!("Endpoint=sb://localhost:{}/;SharedAccessKeyName={RULE};SharedAccessKey={key}", address.port()),
        "resourceId": HUB,
    }));
    let app = &here.test.app;
    app.link_notification_hub(&here.seeded.communication, &link, &Actor::server())
        .await
        .unwrap();

    let (alice, bob) = (here.user().await, here.user().await);
    let (iphone, android) = (phones.iphone("voip").await, phones.android().await);
    here.register(&bob, "iphone", "APNS", &iphone.token).await;
    here.register(&bob, "android", "FCM", &android.token).await;
    crate::calling::place(&here, &alice, &[&bob]).await;
    for phone in [&iphone, &android] {
        rung(phone).await;
    }
    listener.stop().await;
}

/// Waits until a push has come; sockets live in real time.
async fn rung(phone: &crate::phones::Phone<'_>) {
    for _ in 0..5_000 {
        if !phone.pushes().await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the phone did not ring within five seconds");
}
