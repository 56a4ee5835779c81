//! Calls from clients: place, accept, reject, hang up, and who is rung how.
