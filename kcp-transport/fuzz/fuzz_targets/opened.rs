//! Whatever somebody with the key may send.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kcp_transport_fuzz::opened::run(input));
