//! Push lanes: pooled connections to the platform push services.
