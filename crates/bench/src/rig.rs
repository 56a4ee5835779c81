//! A server whose pushes go to a sink, each in a process of its own, and the runtime of those who load it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::server::Server;
use crate::sink::Sink;

/// What direct sends and calls need.
pub struct Rig {
    /// One thread for all clients.
    pub runtime: Runtime,
    /// Where pushes arrive.
    pub sink: Sink,
    /// `carillon dev`, whose hub leads there.
    pub server: Server,
}

impl Rig {
    /// Starts all of it; `program` is the server's.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sink = Sink::start()?;
        let server = Server::start(program, Some(&sink.root))?;
        runtime.block_on(point_hub_at(&server, &sink))?;
        Ok(Self {
            runtime,
            sink,
            server,
        })
    }
}

/// Gives the hub of `carillon dev` a key whose endpoint is the sink.
async fn point_hub_at(server: &Server, sink: &Sink) -> anyhow::Result<()> {
    let key = rcgen::KeyPair::generate()?.serialize_der();
    let body = json!({ "location": "global", "properties": { "apnsCredential": { "properties": {
        "endpoint": sink.endpoint, "keyId": "ABC1234DEF", "appId": "TEAM123456",
        "appName": "com.example.app", "token": STANDARD.encode(key),
    } } } });
    let hub = server.text("/hub/resource_id")?;
    let path = format!("{hub}?api-version=2023-09-01");
    server.control(Method::PUT, &path, Some(&body)).await?;
    Ok(())
}
