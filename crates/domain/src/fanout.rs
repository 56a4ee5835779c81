//! Which devices of a user are rung, how, and what stops them.
