//! The health of the process.

use crate::support::TestApp;

#[tokio::test]
async fn healthz_answers_ok() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/nothing/here").await.status, 404);
    assert_eq!(app.post("/healthz", "").await.status, 405);
}
