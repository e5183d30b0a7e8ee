#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rekopia_fuzz::format_blob(data));
