//! Entra tokens for endpoints that ask for one: `azureActiveDirectoryApplicationIdOrUri` of a webhook.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::time::Timestamp;
use http::HeaderValue;
use wire::event::subscription::TokenFor;

use crate::{App, Result};

/// Tokens that are still good, by tenant and audience: signing one takes a millisecond.
#[derive(Default)]
pub(super) struct DeliveryTokens(Mutex<HashMap<[String; 2], (HeaderValue, Timestamp)>>);

impl App {
    /// The `Authorization` of a delivery: a token of this server's authority for the application.
    pub(super) fn delivery_authorization(&self, wanted: &TokenFor) -> Result<HeaderValue> {
        let now = self.clock.now();
        let name = [wanted.tenant.clone(), wanted.application.clone()];
        let tokens = &self.deliveries.tokens.0;
        let held = tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name)
            .cloned();
        if let Some((header, until)) = held
            && now < until
        {
            return Ok(header);
        }
        let header = self.event_grid_token(&wanted.application)?;
        let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (_, until)| now < *until);
        tokens.insert(name, (header.clone(), now + RENEWED_AFTER));
        Ok(header)
    }
}

/// Long before a token ends.
const RENEWED_AFTER: Duration = Duration::from_secs(1_800);
