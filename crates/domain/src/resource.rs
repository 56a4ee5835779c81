//! ARM resources as documents, and the types there are.
