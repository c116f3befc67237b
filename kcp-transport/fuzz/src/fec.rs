//! The decoder behind a link that loses, repeats, reorders and damages packets as the input says.
//!
//! What it rebuilds is what was sent, unless a packet was damaged or made up: below this layer a cipher sees to that.

use std::collections::{HashMap, VecDeque};

use kcp_transport::Fec;
use kcp_transport::internals::fec::{Receiver, Sender};

use super::steering::Steering;

/// Steps of one input.
const MAX_STEPS: usize = 2_000;

/// Does what `input` says.
pub fn run(input: &[u8]) {
    let mut steering = Steering::new(input);
    let shape = steering.pick(&[(10, 3), (1, 1), (3, 2), (2, 5), (20, 10), (128, 128)]);
    let shape = Fec::new(shape.0, shape.1).expect("in range");
    let mut sender = Sender::new(shape, 0);
    let mut receiver = if steering.coin() {
        Receiver::learning()
    } else {
        Receiver::new(shape)
    };
    let mut sent = HashMap::new();
    let mut wire = VecDeque::new();
    let mut tainted = false;
    for _ in 0..MAX_STEPS {
        if steering.is_empty() {
            break;
        }
        let operation = steering.byte();
        let argument = usize::from(operation >> 3);
        match operation % 8 {
            0 | 1 => {
                let packet = payload(argument, steering.byte());
                sender.send(&packet, |protected| {
                    if protected[4] == 0xf1 {
                        sent.insert(seqid(protected), protected[8..].to_vec());
                    }
                    wire.push_back(protected.to_vec());
                });
            }
            2 | 3 => {
                for packet in wire.drain(..wire.len().min(1 + argument)) {
                    receiver.repair(&packet, |seqid, rebuilt| {
                        assert!(
                            tainted || sent.get(&seqid).is_some_and(|packet| packet == rebuilt)
                        );
                    });
                }
            }
            4 => drop(wire.drain(..wire.len().min(1 + argument))),
            5 => {
                if let Some(packet) = wire.get(argument).cloned() {
                    wire.push_back(packet);
                }
            }
            6 => wire.rotate_left(argument.min(wire.len())),
            _ if argument == 0 => receiver.shrink(),
            _ if argument < 16 => {
                let at = usize::from(steering.short());
                if let Some(byte) = wire.get_mut(argument).and_then(|packet| packet.get_mut(at)) {
                    *byte ^= steering.byte();
                    tainted = true;
                }
            }
            _ => {
                let len = usize::from(steering.byte());
                wire.push_front(steering.take(len).to_vec());
                tainted = true;
            }
        }
    }
}

/// A packet whose length and content follow from two bytes.
fn payload(argument: usize, byte: u8) -> Vec<u8> {
    let len = if argument == 31 {
        1_492
    } else {
        1 + argument * usize::from(byte >> 4)
    };
    (0..len).map(|at| byte.wrapping_mul(at as u8 | 1)).collect()
}

fn seqid(packet: &[u8]) -> u32 {
    packet
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
