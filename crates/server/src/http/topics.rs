//! Event Grid topics, `/topics/{topic}/api/events`: where events are published to.
//!
//! A topic is named by the path, or as in Azure by the first label of the host.

use axum::response::{IntoResponse, Response};
use http::header;
use service::{App, Result};

use super::access::Access;
use super::error::Surface;
use super::request::Request;
use super::route::{Route, options, post};

/// The rows of this file.
pub fn routes() -> Vec<Route> {
    let row = |path| {
        let limit = wire::event::LARGEST_REQUEST;
        [
            options(path, Surface::EventGrid, Access::TopicName, describe),
            post(path, Surface::EventGrid, Access::Publish, publish).body_limit(limit),
        ]
    };
    [
        "/topics/{topic}/api/events",
        "/api/events",
        "/{rest...}/api/events",
    ]
    .into_iter()
    .flat_map(row)
    .collect()
}

/// `POST …/api/events`
async fn publish(app: App, request: Request) -> Result<Response> {
    let topic = request.topic()?;
    app.publish(topic, &request.parts.headers, &request.body)
        .await?;
    Ok(().into_response())
}

/// `OPTIONS …/api/events`
async fn describe(_: App, request: Request) -> Result<Response> {
    let headers = [
        (header::ALLOW.as_str(), "POST, OPTIONS"),
        ("api-supported-versions", "2018-01-01"),
        ("aeg-input-event-schema", request.topic()?.input.name()),
    ];
    Ok(headers.into_response())
}
