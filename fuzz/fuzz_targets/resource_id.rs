#![no_main]
//! ARM resource ids.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(id) = wire::arm::ResourceId::parse(text) {
        let again = wire::arm::ResourceId::parse(id.as_str());
        assert_eq!(again.map(|id| id.key().to_owned()), Ok(id.key().to_owned()));
    }
});
