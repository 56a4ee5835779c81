//! Device registrations of users.
