//! A link emulator: what a bad network does to datagrams, from a seed.
