//! Notification Hubs: direct send, batch, telemetry, errors.
