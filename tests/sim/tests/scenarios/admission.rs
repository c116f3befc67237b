//! Who may open sessions, how many, and what strangers can do: nothing.

use std::net::SocketAddr;

use interop::reference::{self, FecParams, NoDelay};
use interop::stream::Stream;
use kcp_transport::{Cipher, Config, Discard, Fec, SessionError};
use sim::{HostId, Seed, Sim};

use crate::{link, ms, secs};

fn network() -> Sim {
    Sim::new(Seed::from_env_or(1), link("delay=10ms"))
}

fn client_at(sim: &mut Sim, ip: [u8; 4], port: u16) -> HostId {
    sim.host_at(SocketAddr::from((ip, port)), Config::fast3())
}

#[test]
fn the_first_packet_opens_a_session_and_the_answer_finds_its_way() {
    let mut sim = network();
    let (client, server) = (sim.host(Config::fast3()), sim.host(Config::fast3()));
    let ours = sim.connect(client, server);
    sim.write(ours, b"ping");
    sim.run_for(ms(20));
    let theirs = sim.accept(server).expect("it was opened");
    assert_eq!(sim.take(theirs), b"ping");
    sim.write(theirs, b"pong");
    sim.run_for(ms(20));
    assert_eq!(sim.take(ours), b"pong");
    assert!(sim.is_answered(ours));
}

#[test]
fn asking_for_a_sign_of_life_opens_a_session_and_is_answered() {
    let mut sim = network();
    let (client, server) = (sim.host(Config::fast3()), sim.host(Config::fast3()));
    let ours = sim.connect(client, server);
    sim.with_hub(ours, |hub, now, key| hub.ask(now, key));
    assert!(sim.run_until(ms(25), |sim| sim.is_answered(ours)));
    assert!(sim.accept(server).is_some());
}

#[test]
fn sessions_are_limited_in_total_per_address_and_in_the_backlog() {
    let cases = [
        (Config::fast3().max_sessions(3), 3),
        (Config::fast3().max_sessions_per_ip(2), 4),
        (Config::fast3().accept_backlog(5), 5),
    ];
    for (config, expected) in cases {
        let mut sim = network();
        let server = sim.host(config);
        for client in 0..10 {
            let host = client_at(&mut sim, [10, 1, 0, client / 5], 1_000 + u16::from(client));
            let end = sim.connect(host, server);
            sim.write(end, b"let me in");
        }
        sim.run_for(secs(1));
        let stats = sim.endpoint_stats(server);
        assert_eq!(stats.passive_opens, expected);
        assert_eq!(stats.current_sessions, expected);
        assert!(stats.discarded(Discard::Refused) > 0);
    }
}

#[test]
fn a_refused_peer_gets_in_once_there_is_room() {
    let mut sim = network();
    let server = sim.host(Config::fast3().accept_backlog(1));
    let ends: Vec<_> = (0..3)
        .map(|client| {
            let host = client_at(&mut sim, [10, 1, 0, client], 1_000);
            let end = sim.connect(host, server);
            sim.write(end, b"let me in");
            end
        })
        .collect();
    let mut accepted = 0;
    for _ in 0..20 {
        sim.run_for(secs(1));
        accepted += u32::from(sim.accept(server).is_some());
    }
    assert_eq!(accepted, 3);
    assert!(ends.iter().all(|&end| sim.stats(end).in_flight == 0));
}

#[test]
fn a_session_that_ends_makes_room() {
    let mut sim = network();
    let server = sim.host(Config::fast3().max_sessions(1).max_sessions_per_ip(1));
    let client = client_at(&mut sim, [10, 1, 0, 1], 1_000);
    for _ in 0..3 {
        let end = sim.connect(client, server);
        sim.write(end, b"hello");
        sim.run_for(secs(1));
        let accepted = sim.accept(server).expect("there is room");
        sim.with_hub(accepted, |hub, now, key| {
            hub.abort(now, key, SessionError::Closed);
        });
        sim.with_hub(end, |hub, now, key| {
            hub.abort(now, key, SessionError::Closed);
        });
        sim.run_for(ms(10));
    }
    assert_eq!(sim.endpoint_stats(server).passive_opens, 3);
}

#[test]
fn late_packets_do_not_reopen_a_closed_session() {
    let mut sim = network();
    let (client, server) = (sim.host(Config::fast3()), sim.host(Config::fast3()));
    let ours = sim.connect(client, server);
    sim.write(ours, b"hello");
    sim.run_for(ms(15));
    let theirs = sim.accept(server).expect("it was opened");
    sim.with_hub(theirs, |hub, now, key| {
        hub.abort(now, key, SessionError::Closed);
    });
    // The client was never told and sends its first segment again and again.
    let (from, to) = (server, client);
    sim.set_link(from, to, link("loss=100%"));
    sim.write(ours, b"more");
    sim.run_for(secs(5));
    let stats = sim.endpoint_stats(server);
    assert_eq!(stats.passive_opens, 1);
    assert!(stats.discarded(Discard::Closed) > 0);
}

#[test]
fn a_new_conversation_lives_beside_the_old_one_unless_it_may_replace_it() {
    for replace in [false, true] {
        let mut sim = network();
        let client = sim.host(Config::fast3());
        let server = sim.host(Config::fast3().replace_on_new_conv(replace));
        let old = sim.connect(client, server);
        sim.write(old, b"old");
        sim.run_for(ms(50));
        let old_end = sim.accept(server).expect("it was opened");
        let new = sim.connect(client, server);
        sim.write(new, b"new");
        sim.run_for(ms(50));
        let new_end = sim.accept(server).expect("it was opened");
        assert_eq!(sim.take(new_end), b"new");
        if replace {
            assert_eq!(sim.ended(old_end), Some(&SessionError::Replaced));
        } else {
            sim.write(old, b"er");
            sim.run_for(ms(50));
            assert_eq!(sim.take(old_end), b"older");
        }
    }
}

#[test]
fn several_sessions_share_a_path_without_mixing_their_bytes() {
    let mut sim = Sim::new(Seed::from_env_or(3), link("delay=10ms loss=10% reorder=5%"));
    let (client, server) = (sim.host(Config::fast3()), sim.host(Config::fast3()));
    let ours: Vec<_> = (0..20).map(|_| sim.connect(client, server)).collect();
    for &end in &ours {
        sim.write(end, b"hello");
    }
    assert!(sim.run_until(secs(10), |sim| sim.is_done()));
    let theirs: Vec<_> = std::iter::from_fn(|| sim.accept(server)).collect();
    assert_eq!(theirs.len(), ours.len());
    for end in &theirs {
        sim.take(*end);
    }
    for &end in &ours {
        let conv = sim.with_hub(end, |hub, _, key| hub.conv(key));
        let twin = theirs
            .iter()
            .copied()
            .find(|&twin| sim.with_hub(twin, |hub, _, key| hub.conv(key)) == conv);
        let twin = twin.expect("every session was accepted");
        sim.transfer(end, twin, 50_000);
        sim.transfer(twin, end, 50_000);
    }
    assert!(sim.run_until_done(secs(30)).is_some());
}

#[test]
fn a_million_datagrams_of_garbage_change_nothing_but_counters() {
    let secret = Cipher::aes_128_gcm(&[3; 16]);
    let mut sim = Sim::new(Seed::from_env_or(9), link("delay=10ms"));
    let (client, server) = (
        sim.host(Config::fast3().cipher(secret.clone())),
        sim.host(Config::fast3().cipher(secret)),
    );
    let ours = sim.connect(client, server);
    sim.write(ours, b"before");
    sim.run_for(ms(100));
    let theirs = sim.accept(server).expect("it was opened");
    assert_eq!(sim.take(theirs), b"before");

    let mut random = Stream::new(9);
    let mut datagram = [0; 64];
    let strangers = 1_000_000;
    for number in 0..strangers {
        let len = (random.next_word() % 64) as usize + 1;
        for word in datagram.chunks_exact_mut(8) {
            word.copy_from_slice(&random.next_word().to_le_bytes());
        }
        // Every fourth comes from the address of the live session.
        let from = if number % 4 == 0 {
            sim.addr(client)
        } else {
            SocketAddr::from(([10, 9, (number >> 8) as u8, number as u8], 4_000))
        };
        sim.inject(server, from, &mut datagram[..len]);
    }
    let stats = sim.endpoint_stats(server);
    let discarded = stats.discarded(Discard::TooShort) + stats.discarded(Discard::BadChecksum);
    assert_eq!(discarded, strangers);
    assert_eq!(stats.passive_opens, 1);
    sim.write(ours, b"after");
    sim.run_for(ms(100));
    assert_eq!(sim.take(theirs), b"after");
}

/// kcp-go numbers protected packets anew in each conversation, and parity does not tell whose it is: what is rebuilt
/// from packets of two conversations may look right.
#[test]
fn a_late_packet_of_an_earlier_conversation_repairs_nothing() {
    let fec = Fec::new(2, 1).expect("in range");
    let mut sim = Sim::new(Seed::new(1), link("delay=10ms"));
    let host = sim.host(Config::fast3().fec(fec));
    let client = SocketAddr::from(([10, 9, 9, 9], 4_000));
    // Ten pushes in five groups, as kcp-go sends them.
    let conversation = |conv: u32| -> Vec<Vec<u8>> {
        let params = FecParams { data: 2, parity: 1 };
        let mut peer = reference::Session::new(
            0,
            reference::Config {
                conv,
                fec: Some(params),
                snd_wnd: 128,
                no_delay: NoDelay {
                    nc: true,
                    ..NoDelay::DEFAULT
                },
                ..reference::Config::default()
            },
        );
        for byte in 0..10 {
            assert!(peer.write(1, &[byte; 1_300]), "the window is large");
        }
        std::iter::from_fn(|| peer.poll_transmit()).collect()
    };
    let (old, new) = (conversation(7), conversation(8));
    assert!(old.len() >= 15 && new.len() >= 15);
    let inject = |sim: &mut Sim, packet: &[u8]| sim.inject(host, client, &mut packet.to_vec());
    // The whole of the old one but a parity packet, which comes late.
    for packet in old.iter().filter(|packet| packet[0] != 5) {
        inject(&mut sim, packet);
    }
    sim.run_for(ms(100));
    assert_eq!(sim.endpoint_stats(host).sessions.fec_full_groups, 5);

    for (at, late) in [(3, true), (4, false)] {
        inject(&mut sim, &new[at]);
        if late {
            inject(&mut sim, &old[5]);
        }
    }
    for packet in &new[..3] {
        inject(&mut sim, packet);
    }
    sim.run_for(ms(100));
    let stats = sim.endpoint_stats(host).sessions;
    assert_eq!((stats.fec_errors, stats.fec_recovered), (0, 0));
    assert_eq!(stats.fec_full_groups, 5, "not counted either");

    // Later it repairs again.
    sim.run_for(secs(3));
    for packet in new[6..].iter().filter(|packet| packet[0] != 10) {
        inject(&mut sim, packet);
    }
    sim.run_for(ms(100));
    let stats = sim.endpoint_stats(host).sessions;
    assert_eq!((stats.fec_errors, stats.fec_recovered), (0, 1));
}
