//! Authorization headers: SAS, HMAC-SHA256, JWT.
