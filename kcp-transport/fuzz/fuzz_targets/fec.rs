//! Packets with parity.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kcp_transport_fuzz::fec::run(input));
