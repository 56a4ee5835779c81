//! App registrations made beside a running server, as `carillon app` makes them.

use std::time::Duration;

use secrecy::ExposeSecret;

use crate::calling::until;
use crate::support::TestApp;

#[tokio::test]
async fn an_app_registered_beside_a_server_signs_in_once_it_is_seen() {
    let app = TestApp::start().await;
    let apps = app.registrations().await;
    let made = apps.create("ci").await.unwrap();
    let secret = apps.add_secret(&made.client_id).await.unwrap();
    assert_eq!(apps.list().await.unwrap()[0].credentials.len(), 2);
    let sign_in = async |secret: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &made.client_id),
            ("client_secret", secret),
            ("scope", "https://management.azure.com/.default"),
        ];
        app.form("/adfs/oauth2/token", &fields).await.status
    };
    // Any change on this node takes it up; without one, the poll does.
    app.token().await;
    for secret in [&made.secret, &secret] {
        assert_eq!(sign_in(secret.expose_secret()).await, 200);
    }
    let hint = &secret.expose_secret()[..3];
    apps.remove_credential(&made.client_id, &format!("{hint}…"))
        .await
        .unwrap();
    until(async || {
        app.app.clock.advance(Duration::from_secs(2));
        (sign_in(secret.expose_secret()).await == 401).then_some(())
    })
    .await;
    assert_eq!(sign_in(made.secret.expose_secret()).await, 200);
    for unknown in ["", "zzz", "…"] {
        assert!(
            apps.remove_credential(&made.client_id, unknown)
                .await
                .is_err()
        );
    }
    apps.delete(&made.client_id).await.unwrap();
    assert!(apps.delete(&made.client_id).await.is_err());
}
