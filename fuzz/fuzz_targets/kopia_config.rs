#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rekopia_fuzz::kopia_config(data));
