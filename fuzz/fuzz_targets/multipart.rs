#![no_main]
//! Batches of direct sends: any content type, any body.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (content_type, body) = input;
    let _ =
        wire::hub::batch::Batch::parse(Some(content_type), &bytes::Bytes::copy_from_slice(body));
});
