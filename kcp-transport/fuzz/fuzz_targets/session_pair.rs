//! Two hubs and a bad link.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kcp_transport_fuzz::session_pair::run(input));
