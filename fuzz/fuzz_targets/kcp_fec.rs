#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| zinx_fuzz::kcp::kcp_fec(input));
