//! kcp-go's `xor`: one table, derived from the key, laid over every packet.

use super::{PacketCipher, kdf};
use crate::proto::batch::Span;

/// Length of the table in bytes: the longest packet there is. Source: kcp-go `mtuLimit`.
const TABLE_LEN: usize = 1_500;

/// Lays the same table over every packet, from the first nonce byte on. Bytes beyond the table stay as they are.
pub(super) struct Xor {
    table: Box<[u8; TABLE_LEN]>,
}

impl Xor {
    pub(super) fn new(key: &[u8]) -> Self {
        Self {
            table: Box::new(kdf::xor_table(key)),
        }
    }
}

impl PacketCipher for Xor {
    fn encrypt(&self, buffer: &mut [u8], packets: &[Span]) {
        for packet in packets {
            self.decrypt(&mut buffer[packet.range()]);
        }
    }

    fn decrypt(&self, datagram: &mut [u8]) {
        for (byte, mask) in datagram.iter_mut().zip(&*self.table) {
            *byte ^= mask;
        }
    }
}
