//! Holds recorded conversations again, without a peer: what our stack does today with what kcp-go said then.

use std::net::{Ipv4Addr, SocketAddr};

use kcp_transport::Discard;

use super::format::{Conversation, Happened, Hex, read_all};
use super::machine::Machine;

/// Where the peer was, as far as our stack can tell.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4_000);

/// Holds a conversation again, in which one of the peer's datagrams gets lost.
pub(super) fn replay(conversation: &Conversation, lost: Option<usize>) -> Machine {
    let mut machine = if conversation.we_dial {
        Machine::dial(conversation.config(), PEER, conversation.conv)
    } else {
        Machine::listen(conversation.config())
    };
    let mut datagrams = 0;
    for event in &conversation.events {
        match event {
            // Without its first datagram there may be no session.
            Happened::Wrote { .. } | Happened::WroteOob { .. } if !machine.is_open() => {}
            Happened::Wrote { at, bytes, left } => {
                machine.write(*at, &bytes.0);
                let leaving = machine.turn(*at);
                // What leaves later depends on how losses are found and how acknowledgements are gathered today.
                if datagrams == 0 {
                    let left: Vec<_> = left.iter().map(|datagram| datagram.0.clone()).collect();
                    assert!(
                        leaving == left,
                        "our datagrams are not those that the peer understood"
                    );
                }
            }
            Happened::WroteOob { at, message } => {
                machine.write_oob(*at, &message.0);
                machine.turn(*at);
            }
            Happened::Got { at, datagram } => {
                if lost != Some(datagrams) {
                    machine.got(*at, PEER, &datagram.0);
                }
                datagrams += 1;
                machine.turn(*at);
            }
            Happened::Woke { at } => {
                machine.turn(*at);
            }
        }
    }
    machine
}

/// Whatever kcp-go sent, we understand, and hear all that it wrote.
pub(super) fn check(name: &str, conversation: &Conversation) {
    let machine = replay(conversation, None);
    assert!(
        machine.heard == conversation.heard.0,
        "{name}: other bytes than then"
    );
    let messages: Vec<_> = conversation
        .heard_oob
        .iter()
        .map(|message| message.0.clone())
        .collect();
    assert_eq!(machine.heard_oob, messages, "{name}");
    let stats = machine.stats();
    for reason in [
        Discard::TooShort,
        Discard::BadChecksum,
        Discard::Malformed,
        Discard::Refused,
    ] {
        // kcp-go damages packets under SM4 itself (`known.rs`).
        if reason != Discard::BadChecksum || conversation.cipher != "sm4" {
            assert_eq!(stats.discarded(reason), 0, "{name}: {reason:?}");
        }
    }
    assert_eq!(stats.sessions.fec_errors, 0, "{name}");
}

#[test]
fn recorded_conversations_are_understood_today_and_our_first_flight_is_the_same() {
    let all = read_all();
    assert!(all.len() >= 20, "only {} are there", all.len());
    for (name, conversation) in &all {
        check(name, conversation);
    }
}

/// In a group with its parity any datagram may be missing. The stream must never be another one.
#[test]
fn a_datagram_lost_of_a_recorded_conversation_is_rebuilt_from_its_parity() {
    let mut repaired = 0;
    for (name, conversation) in read_all() {
        for lost in 0..conversation.datagrams() {
            let machine = replay(&conversation, Some(lost));
            let (heard, all) = (&machine.heard, &conversation.heard.0);
            assert!(all.starts_with(heard), "{name} without {lost}: wrong bytes");
            let rebuilt = machine.stats().sessions.fec_recovered;
            assert!(
                rebuilt == 0 || conversation.peer_code.is_some(),
                "{name} without {lost}"
            );
            repaired += usize::from(rebuilt > 0 && heard == all);
        }
    }
    assert!(repaired >= 50, "only {repaired} were repaired");
}

/// Writes more than may leave at once, to a peer that is slow to answer: the rest leaves when its timer is due.
fn paced_conversation() -> Conversation {
    let mut conversation = super::plan("ours", true, "null", (None, None));
    let mut ours = Machine::dial(conversation.config(), PEER, conversation.conv);
    let mut peer = Machine::listen(conversation.config());
    let bytes = Hex(vec![1; 10_000]);
    ours.write(0, &bytes.0);
    let mut on_the_way = ours.turn(0);
    let left = on_the_way.iter().cloned().map(Hex).collect();
    conversation
        .events
        .push(Happened::Wrote { at: 0, bytes, left });
    while let Some(at) = ours.next().filter(|&at| at < 50_000) {
        on_the_way.extend(ours.turn(at));
        conversation.events.push(Happened::Woke { at });
    }
    let at = 50_000;
    for datagram in on_the_way {
        peer.got(at, PEER, &datagram);
    }
    for datagram in peer.turn(at) {
        let datagram = Hex(datagram);
        conversation.events.push(Happened::Got { at, datagram });
    }
    conversation
}

#[test]
fn what_acknowledges_a_timers_work_is_understood_again() {
    let mut conversation = paced_conversation();
    check("paced", &conversation);
    let is_timer = |event: &Happened| matches!(event, Happened::Woke { .. });
    conversation.events.retain(|event| !is_timer(event));
    let discarded = replay(&conversation, None)
        .stats()
        .discarded(Discard::Malformed);
    assert!(discarded > 0, "the timers did nothing");
}
