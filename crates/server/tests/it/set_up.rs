//! The first administrator: a link that works once and in time, and only where nobody may sign in.

use std::time::Duration;

use secrecy::ExposeSecret;

use crate::support::{Answer, TestApp};

/// Offers a link; its path.
async fn offered(app: &TestApp) -> String {
    let set_up = app.app.offer_set_up().await.unwrap().unwrap();
    path(set_up.token.expose_secret())
}

fn path(token: &str) -> String {
    format!("{}/{token}", carillon::http::SET_UP_PATH)
}

async fn post_for_json(app: &TestApp, path: &str) -> Answer {
    app.send("POST", path, &[("accept", "application/json")], "")
        .await
}

async fn sign_in(app: &TestApp, id: &str, secret: &str) -> u16 {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret),
        ("scope", "https://management.azure.com/.default"),
    ];
    app.form("/adfs/oauth2/token", &fields).await.status
}

#[tokio::test]
async fn a_link_makes_one_administrator_who_may_sign_in_at_once() {
    let app = TestApp::start().await;
    let link = offered(&app).await;
    let page = app.get(&link).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<form method=\"post\">") && !page.body.contains("<script"));
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert!(app.app.list_apps().is_empty(), "a look has made somebody");

    let made = post_for_json(&app, &link).await;
    assert_eq!(made.headers["cache-control"], "no-store");
    let made = made.json();
    let text = |name: &str| made[name].as_str().unwrap();
    let (id, secret) = (text("client_id"), text("client_secret"));
    assert_eq!(sign_in(&app, id, secret).await, 200);

    for again in [app.get(&link).await, app.post(&link, "").await] {
        assert_eq!(again.status, 404);
        assert!(again.body.contains("carillon app create"), "{}", again.body);
    }
    assert_eq!(app.app.list_apps().len(), 1);
    assert!(app.app.offer_set_up().await.unwrap().is_none());
}

#[tokio::test]
async fn the_page_shows_the_administrator_to_a_browser() {
    let app = TestApp::start().await;
    let page = app.post(&offered(&app).await, "").await;
    assert_eq!(page.status, 200);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    let apps = app.app.list_apps();
    let command = format!(
        "carillon login --client-id {} --client-secret ",
        apps[0].client_id
    );
    let (_, rest) = page
        .body
        .split_once(&command)
        .unwrap_or_else(|| panic!("{}", page.body));
    let secret = rest.split('<').next().unwrap();
    assert_eq!(sign_in(&app, &apps[0].client_id, secret).await, 200);
}

#[tokio::test]
async fn a_link_ends_with_time_with_the_next_one_and_with_anybody_who_may_sign_in() {
    let app = TestApp::start().await;
    let link = offered(&app).await;
    assert_eq!(app.get(&path("0000")).await.status, 404);
    app.app.clock.advance(Duration::from_secs(3_599));
    assert_eq!(app.get(&link).await.status, 200);
    app.app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.get(&link).await.status, 404);
    assert_eq!(app.post(&link, "").await.status, 404);

    let (first, second) = (offered(&app).await, offered(&app).await);
    assert_eq!(app.post(&first, "").await.status, 404);
    assert_eq!(app.get(&second).await.status, 200);

    app.registrations()
        .await
        .create("by another way")
        .await
        .unwrap();
    assert_eq!(app.post(&second, "").await.status, 404);
    assert_eq!(
        app.app.list_apps().len(),
        0,
        "it was made beside this server"
    );
}

#[tokio::test]
async fn of_two_who_use_a_link_at_once_one_becomes_the_administrator() {
    let app = TestApp::start().await;
    let link = offered(&app).await;
    let (one, other) = tokio::join!(post_for_json(&app, &link), post_for_json(&app, &link));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    assert_eq!(app.app.list_apps().len(), 1);
}

#[tokio::test]
async fn a_link_survives_a_restart_and_works_on_every_node() {
    let app = TestApp::start().await;
    let link = offered(&app).await;
    let other = app.second_node().await;
    let token = link.rsplit('/').next().unwrap();
    other.check_set_up(token).await.unwrap();
    other.stop().await;
    let app = app.restart().await;
    assert_eq!(app.post(&link, "").await.status, 200);
}
