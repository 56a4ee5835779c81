#![no_main]
//! Connection strings of hubs.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = wire::arm::connection_string::ConnectionString::parse(text);
});
