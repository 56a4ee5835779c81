#![no_main]
//! The Authorization header of the Communication data plane.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    let _ = wire::auth::hmac::Authorization::parse(header);
});
