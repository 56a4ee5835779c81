//! Nothing: the scenarios stand in `tests/`.
