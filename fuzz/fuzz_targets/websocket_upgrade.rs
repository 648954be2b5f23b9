#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| zinx_fuzz::websocket::websocket_upgrade(input));
