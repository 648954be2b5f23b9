#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| zinx_fuzz::proxy_header::proxy_header(input));
