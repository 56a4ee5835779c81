//! App registrations made beside a running server, as `carillon app` makes them.

use secrecy::ExposeSecret;

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
    apps.delete(&made.client_id).await.unwrap();
    assert!(apps.delete(&made.client_id).await.is_err());
}
