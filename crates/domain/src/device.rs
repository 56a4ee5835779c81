//! A device registration of a user and its lifetime.
