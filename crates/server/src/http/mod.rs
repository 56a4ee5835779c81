//! Every surface: the route table, and what happens to a request on its way to a handler.
//!
//! A request is matched ([`route`]), its credential checked ([`access`]), its body read within limits
//! ([`dispatch`]), then the handler makes one call on `App`. Errors become responses in [`error`] alone.

mod access;
mod dispatch;
mod error;
mod health;
mod request;
mod route;
mod trace;

pub use dispatch::Service;
pub use error::Surface;

use access::Access;
use route::{Table, get};

/// Every route of the https port. The first row that matches wins, so fixed paths stand above `{hub}`.
pub fn table() -> Table {
    Table::new(vec![get(
        "/healthz",
        Surface::Plain,
        Access::Public,
        health::healthz,
    )])
}
