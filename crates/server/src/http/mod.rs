//! Every surface: the route table, and what happens to a request on its way to a handler.
//!
//! A request is matched ([`route`]), its credential checked ([`access`]), its body read within limits
//! ([`dispatch`]), then the handler makes one call on `App`. Errors become responses in [`error`] alone.

mod access;
mod arm;
mod callautomation;
mod calling;
mod cors;
mod dispatch;
mod entra;
mod error;
mod event_delivery;
mod health;
mod hub_entity;
mod hub_messages;
mod identity;
pub mod plain;
mod registrar;
mod request;
mod route;
mod set_up;
mod topics;
mod trace;
mod unattended;
mod watch;

pub use dispatch::Service;
pub use error::Surface;
pub use plain::Plain;
pub use set_up::PATH as SET_UP_PATH;

use access::Access;
use route::{Route, Table, delete, get, head, patch, post, put};

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
    routes.extend(identity::routes());
    routes.extend(registrar::routes());
    routes.extend(calling::routes());
    routes.extend(set_up::routes());
    routes.extend(topics::routes());
    routes.extend(callautomation::routes());
    routes.extend(arm::event_operations::routes());
    routes.extend(sign_in());
    routes.extend(control_plane());
    routes.extend(arm::notification_hubs::routes());
    routes.extend(arm::event_topics::routes());
    routes.extend(unknown_resources());
    routes.extend(hub_messages::routes());
    routes.extend(hub_entity::routes());
    Table::new(routes)
}

/// Sign-in, in the ADFS shape and in the tenant shape.
fn sign_in() -> Vec<Route> {
    const E: Surface = Surface::Entra;
    const P: Access = Access::Public;
    vec![
        get("/metadata/endpoints", E, P, entra::metadata),
        get(
            "/adfs/.well-known/openid-configuration",
            E,
            P,
            entra::adfs_discovery,
        ),
        get("/adfs/discovery/keys", E, P, entra::keys),
        post("/adfs/oauth2/token", E, P, entra::token),
        post("/adfs/oauth2/devicecode", E, P, entra::not_yet),
        get("/adfs/oauth2/authorize", E, P, entra::not_yet),
        get("/common/discovery/instance", E, P, entra::instance),
        get("/common/userrealm/{upn}", E, P, entra::user_realm),
        get(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            E,
            P,
            entra::tenant_discovery,
        ),
        get(
            "/{tenant}/.well-known/openid-configuration",
            E,
            P,
            entra::issuer_discovery,
        ),
        get("/{tenant}/discovery/v2.0/keys", E, P, entra::keys),
        post("/{tenant}/oauth2/v2.0/token", E, P, entra::token),
        post("/{tenant}/oauth2/v2.0/devicecode", E, P, entra::not_yet),
        get("/{tenant}/oauth2/v2.0/authorize", E, P, entra::not_yet),
    ]
}

/// Azure Resource Manager.
fn control_plane() -> Vec<Route> {
    use arm::{communication, groups, providers, resources, subscriptions};
    const S: Surface = Surface::Arm;
    const A: Access = Access::Arm;
    /// Actions have short bodies.
    const ACTION: usize = 64 * 1024;
    macro_rules! subscription {
        ($rest:literal) => {
            concat!("/subscriptions/{subscription}", $rest)
        };
    }
    macro_rules! group {
        ($rest:literal) => {
            concat!(
                "/subscriptions/{subscription}/resourceGroups/{group}",
                $rest
            )
        };
    }
    macro_rules! communication {
        ($rest:literal) => {
            concat!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Communication/communicationServices", $rest)
        };
    }
    vec![
        get("/subscriptions", S, A, subscriptions::list),
        get("/tenants", S, A, subscriptions::tenants),
        get("/providers", S, A, providers::list),
        get(
            "/providers/Microsoft.Communication/operations",
            S,
            A,
            communication::operations,
        ),
        get(
            "/providers/Microsoft.Communication/locations/{location}/operationStatuses/{id}",
            S,
            A,
            communication::operation_status,
        ),
        get("/providers/{namespace}", S, A, providers::get),
        get(subscription!(""), S, A, subscriptions::get),
        get(subscription!("/locations"), S, A, subscriptions::locations),
        get(subscription!("/providers"), S, A, providers::list),
        get(
            subscription!("/providers/{namespace}"),
            S,
            A,
            providers::get,
        ),
        post(
            subscription!("/providers/{namespace}/register"),
            S,
            A,
            providers::get,
        ),
        post(
            subscription!("/providers/{namespace}/unregister"),
            S,
            A,
            providers::get,
        ),
        get(subscription!("/resources"), S, A, resources::list),
        get(subscription!("/resourceGroups"), S, A, groups::list),
        get(group!(""), S, A, groups::get),
        head(group!(""), S, A, groups::head),
        put(group!(""), S, A, groups::put),
        patch(group!(""), S, A, groups::patch),
        delete(group!(""), S, A, groups::delete),
        get(group!("/resources"), S, A, resources::list),
        post(
            subscription!("/providers/Microsoft.Communication/checkNameAvailability"),
            S,
            A,
            communication::check_name,
        )
        .body_limit(ACTION),
        get(
            subscription!("/providers/Microsoft.Communication/communicationServices"),
            S,
            A,
            communication::list,
        ),
        get(
            subscription!(
                "/providers/Microsoft.Communication/locations/{location}/operationStatuses/{id}"
            ),
            S,
            A,
            communication::operation_status,
        ),
        get(communication!(""), S, A, communication::list),
        put(communication!("/{name}"), S, A, communication::put),
        get(communication!("/{name}"), S, A, communication::get),
        patch(communication!("/{name}"), S, A, communication::patch),
        delete(communication!("/{name}"), S, A, communication::delete),
        post(
            communication!("/{name}/listKeys"),
            S,
            A,
            communication::list_keys,
        )
        .body_limit(ACTION),
        post(
            communication!("/{name}/regenerateKey"),
            S,
            A,
            communication::regenerate_key,
        )
        .body_limit(ACTION),
        post(
            communication!("/{name}/linkNotificationHub"),
            S,
            A,
            communication::link,
        )
        .body_limit(ACTION),
        post(
            communication!("/{name}/unlinkNotificationHub"),
            S,
            A,
            communication::unlink,
        )
        .body_limit(ACTION),
        head(subscription!("/{rest...}"), S, A, resources::head),
    ]
}

/// What is below a subscription and no row above names. Last of all.
fn unknown_resources() -> Vec<Route> {
    const PATH: &str = "/subscriptions/{subscription}/{rest...}";
    const S: Surface = Surface::Arm;
    const A: Access = Access::Arm;
    vec![
        get(PATH, S, A, arm::resources::unknown),
        put(PATH, S, A, arm::resources::unknown),
        post(PATH, S, A, arm::resources::unknown),
        patch(PATH, S, A, arm::resources::unknown),
        delete(PATH, S, A, arm::resources::unknown),
    ]
}
