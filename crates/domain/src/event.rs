//! Events that happened, as rows to be delivered.
