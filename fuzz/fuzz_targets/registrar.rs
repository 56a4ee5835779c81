#![no_main]
//! Device registrations.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = wire::trouter::registrar::Registration::parse(body);
});
