//! Every cipher in both roles, and with them in turn every other choice that both ends must agree on or need not.

use std::time::Duration;

use crate::process::GUARD;
use crate::traffic::{Load, exchange};
use crate::tunnel::{Make, Setup, listen};

/// All that kcptun of 2021 has.
const CIPHERS: [&str; 13] = [
    "aes", "aes-128", "aes-192", "salsa20", "blowfish", "twofish", "cast5", "3des", "tea", "xtea",
    "xor", "sm4", "none",
];
/// What it does not have.
const NEW_CIPHERS: [&str; 2] = ["aes-128-gcm", "null"];

/// Forward error correction at our end and at the peer's.
type Codes = (&'static str, &'static str);

const CODES: &[Codes] = &[
    ("10/3", "10/3"),
    ("0/0", "0/0"),
    ("3/1", "3/1"),
    ("0/0", "10/3"),
    ("10/3", "5/2"),
    ("10/3", "0/0"),
];
/// The old kcp-go spoils the streams of a peer that has another code than its own: the tests of sessions show it
/// without us. So our end has the same, or none.
const OLD_CODES: &[Codes] = &[
    ("10/3", "10/3"),
    ("0/0", "0/0"),
    ("3/1", "3/1"),
    ("0/0", "10/3"),
];

/// Runs a cell for every cipher. `ours_dials` also shifts which choices meet in one cell.
async fn run(peer: Make, ours_dials: bool, ciphers: &[&str], codes: &[Codes]) {
    if !peer.is_here() {
        return;
    }
    let mut failures = Vec::new();
    for (number, cipher) in ciphers.iter().enumerate() {
        let cell = cell(
            peer,
            ours_dials,
            cipher,
            number + 3 * usize::from(ours_dials),
            codes,
        );
        if let Err(failure) = cell.await {
            failures.push(failure);
        }
    }
    let (failed, all) = (failures.len(), ciphers.len());
    assert!(
        failures.is_empty(),
        "{failed} of {all} failed:\n{}",
        failures.join("\n")
    );
}

async fn cell(
    peer: Make,
    ours_dials: bool,
    cipher: &str,
    choice: usize,
    codes: &[Codes],
) -> Result<(), String> {
    let smuxver = ["1", "2"][choice % 2];
    let compressed = (choice / 2).is_multiple_of(2);
    let sessions = ["1", "8"][choice / 4 % 2];
    let mode = ["fast", "fast2", "fast3", "normal"][choice % 4];
    let mut flags = vec![
        "-crypt",
        cipher,
        "-key",
        "a key of our own",
        "-smuxver",
        smuxver,
        "-mode",
        mode,
    ];
    if !compressed {
        flags.push("-nocomp");
    }
    // With every round through the codes they meet other choices.
    let (ours, theirs) = codes[(choice + choice / codes.len()) % codes.len()];
    let (client, server) = if ours_dials {
        (Make::Ours, peer)
    } else {
        (peer, Make::Ours)
    };
    let (at_client, at_server) = if ours_dials {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    let setup = Setup::new(client, server, &flags)
        .at_client(&["-conn", sessions])
        .at_client(&shards(at_client))
        .at_server(&shards(at_server));
    let name = setup.to_string();
    let (target, addr) = listen().await;
    let tunnel = setup.start(addr).await;
    let load = Load {
        connections: 8,
        bytes: 100_000,
    };
    let failure =
        match tokio::time::timeout(CELL_GUARD, exchange(tunnel.local, &target, load)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "not finished in time".to_owned(),
        };
    let (client, server) = (tunnel.client.last_words(), tunnel.server.last_words());
    Err(format!(
        "{name}: {failure}\n  client:\n    {client}\n  server:\n    {server}"
    ))
}

/// One cell may not use up the guard of all.
const CELL_GUARD: Duration = Duration::from_secs(GUARD.as_secs() / 4);

fn shards(code: &'static str) -> [&'static str; 4] {
    let (data, parity) = code.split_once('/').unwrap();
    ["-datashard", data, "-parityshard", parity]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_carries_to_a_server_of_kcptun_2021() {
    run(Make::Kcptun2021, true, &CIPHERS, OLD_CODES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_carries_from_a_client_of_kcptun_2021() {
    run(Make::Kcptun2021, false, &CIPHERS, OLD_CODES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_carries_to_a_server_of_kcptun_2026() {
    let ciphers = [&CIPHERS[..], &NEW_CIPHERS[..]].concat();
    run(Make::Kcptun2026, true, &ciphers, CODES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_carries_from_a_client_of_kcptun_2026() {
    let ciphers = [&CIPHERS[..], &NEW_CIPHERS[..]].concat();
    run(Make::Kcptun2026, false, &ciphers, CODES).await;
}
