#![no_main]
//! Shared access signatures.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    if let Ok(token) = wire::auth::sas::Token::parse(header) {
        let _ = token.covers("/hub/messages");
        assert!(!token.is_signed_by(&wire::auth::sas::Key::new(
            "a key the fuzzer does not know, 0123456789"
        )));
    }
});
