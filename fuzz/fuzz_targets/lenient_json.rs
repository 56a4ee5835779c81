#![no_main]
//! The bodies of ARM writes: single quotes, comments, any depth.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = wire::arm::lenient_json::parse(body);
});
