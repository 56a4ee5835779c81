//! A call: its legs, its states, and what each verb does to them.
