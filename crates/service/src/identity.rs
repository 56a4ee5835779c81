//! Communication identities and their access tokens.
