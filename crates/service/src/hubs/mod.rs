//! Notification hubs: who may send, direct sends, telemetry, remote hubs.
