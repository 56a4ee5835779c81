//! Every surface: the route table, and what happens to a request on its way to a handler.
//!
//! A request is matched ([`route`]), its credential checked ([`access`]), its body read within limits
//! ([`dispatch`]), then the handler makes one call on `App`. Errors become responses in [`error`] alone.

mod access;
mod dispatch;
mod error;
mod health;
mod hub_messages;
pub mod plain;
mod request;
mod route;
mod trace;
mod watch;

pub use dispatch::Service;
pub use error::Surface;
pub use plain::Plain;

use access::Access;
use route::{Table, get};

use crate::listen::Handler;

impl Handler for Service {
    async fn handle(&self, request: ::http::Request<axum::body::Body>) -> axum::response::Response {
        Service::handle(self, request).await
    }
}

/// Every route of the https port. The first row that matches wins, so fixed paths stand above `{hub}`.
pub fn table() -> Table {
    let mut routes = vec![get(
        "/healthz",
        Surface::Plain,
        Access::Public,
        health::healthz,
    )];
    routes.extend(hub_messages::routes());
    Table::new(routes)
}
