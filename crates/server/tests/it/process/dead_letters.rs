//! What `carillon doctor` says of the storage that dead letters go to.

use serde_json::json;

use super::doctor::{doctor, says};
use super::{Process, carillon, directory, run, stderr};
use crate::receiver::Receiver;

/// A bucket takes letters, one may not be written to, and one is away; an account that nobody named is a directory.
#[tokio::test(flavor = "multi_thread")]
async fn storage_that_takes_no_dead_letters_is_named() {
    const BEGUN: &str =
        "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
    let bucket = Receiver::start(
        |got| {
            let is_locked = got.path.starts_with("/locked/");
            let builder = axum::response::Response::builder().header("etag", "\"1\"");
            builder.status(if is_locked { 403 } else { 200 })
        },
        |_| BEGUN.to_owned(),
    )
    .await;
    let endpoint = bucket.url.trim_end_matches("/hook?code=secret");
    let dir = directory();
    let config = dir.path().join("carillon.toml");
    let text = format!(
        "[events.storage]\nbucket = {{ s3 = {{ endpoint = '{endpoint}', region = 'r', access_key_id = 'id', secret_access_key = 'key' }} }}\n"
    );
    std::fs::write(&config, text).unwrap();
    let free = ["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let server = Process::spawn(carillon(&free).arg("--config").arg(&config), dir.path());
    let data_dir = dir.path().to_str().unwrap();
    let group = format!(
        "/subscriptions/{}/resourceGroups/default/providers",
        server.text("subscription_id")
    );
    let path = |name: &str| {
        format!(
            "{group}/Microsoft.EventGrid/topics/events/eventSubscriptions/{name}?api-version=2025-02-15"
        )
    };
    for (name, account, container) in [
        ("one", "bucket", "open"),
        ("two", "Bucket", "open"),
        ("three", "bucket", "locked"),
        ("four", "other", "letters"),
    ] {
        let letters = json!({ "endpointType": "StorageBlob", "properties": {
            "resourceId": format!("{group}/Microsoft.Storage/storageAccounts/{account}"), "blobContainerName": container } });
        let body = json!({ "properties": { "deadLetterDestination": letters, "destination": {
            "endpointType": "WebHook", "properties": { "endpointUrl": bucket.url } } } });
        let put = run(&[
            "PUT",
            &path(name),
            &body.to_string(),
            "--data-dir",
            data_dir,
        ]);
        assert!(put.status.success(), "{}", stderr(&put));
    }
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 1);
    let (open, locked) = ("dead letters bucket/open", "dead letters bucket/locked");
    says(
        &report,
        open,
        "ok",
        "Those of events/one, events/two can be written there.",
    );
    says(&report, locked, "fail", "403");
    let other = "dead letters other/letters";
    says(&report, other, "ok", "dead-letters/other/letters");
    // Begun, and not ended: nothing stands there.
    let writes = bucket
        .got()
        .into_iter()
        .filter(|got| got.path.starts_with("/open/"));
    let writes: Vec<_> = writes.map(|got| got.method).collect();
    assert_eq!(writes, ["POST", "PUT", "DELETE"]);

    let deleted = run(&["DELETE", &path("three"), "--data-dir", data_dir]);
    assert!(deleted.status.success(), "{}", stderr(&deleted));
    server.signal("TERM");
    assert!(server.ended_well());
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 0, "{report:#}");
    says(
        &report,
        other,
        "warn",
        "does not say what stands behind the account",
    );
    drop(bucket);
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 1);
    says(&report, open, "fail", "find no way there");
}
