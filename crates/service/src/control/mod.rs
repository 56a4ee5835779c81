//! The control plane: resources, links, sign-in.
