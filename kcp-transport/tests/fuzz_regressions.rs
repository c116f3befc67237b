//! Replays the inputs that fuzzing starts from, and those that once failed, without the fuzzer.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets use it as a crate")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Runs a target on each of its seeds.
fn replay(target: &str, run: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&seeds).expect("the seeds are part of the repository") {
        let path = entry.expect("a readable directory").path();
        println!("{}", path.display());
        run(&fs::read(&path).expect("a readable file"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", seeds.display());
}

#[test]
fn datagrams_of_strangers_are_survived() {
    replay("datagram", targets::datagram::run);
}

#[test]
fn datagrams_of_peers_are_survived() {
    replay("opened", targets::opened::run);
}

#[test]
fn segments_are_read_as_they_were_written() {
    replay("segments", targets::segments::run);
}

#[test]
fn what_is_rebuilt_is_what_was_sent() {
    replay("fec", targets::fec::run);
}

#[test]
fn bytes_arrive_intact_over_a_bad_link() {
    replay("session_pair", targets::session_pair::run);
}
