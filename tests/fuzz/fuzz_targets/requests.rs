#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| elanus_tests::fuzz::run("requests", data));
