//! Azure Communication Services: identifiers, identity, calling and push payloads.
