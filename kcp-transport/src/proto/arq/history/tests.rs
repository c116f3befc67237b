use super::*;

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn steady_rtt() -> Rtt {
    let mut rtt = Rtt::default();
    for _ in 0..50 {
        rtt.update(Duration::from_millis(80));
    }
    rtt
}

/// Sends segments 0.. at the given times.
fn sent(times: &[u64]) -> History {
    let mut history = History::new(1_024);
    for (sn, &at) in times.iter().enumerate() {
        history.record(ms(at), Seq(sn as u32), None);
    }
    history
}

fn losses(history: &mut History, now: u64, threshold: Option<u32>) -> (Vec<u32>, Option<Time>) {
    let mut found = Vec::new();
    let next = history.detect_losses(
        ms(now),
        &steady_rtt(),
        threshold,
        |_, _| Standing::UnderWay,
        |sn, _, _| found.push(sn.0),
    );
    (found, next)
}

#[test]
fn a_transmission_is_lost_once_enough_later_ones_are_acknowledged() {
    let mut history = sent(&[0, 0, 0]);
    history.handle_ack(ms(80), TransmissionId(2), Seq(1));
    assert!(losses(&mut history, 80, Some(2)).0.is_empty());
    history.handle_ack(ms(80), TransmissionId(3), Seq(2));
    assert_eq!(losses(&mut history, 80, Some(2)).0, [0]);
}

#[test]
fn without_a_threshold_the_reordering_window_decides() {
    let mut history = sent(&[0, 0, 0]);
    history.handle_ack(ms(80), TransmissionId(3), Seq(2));
    let (found, next) = losses(&mut history, 80, None);
    assert!(found.is_empty());
    assert_eq!(next, Some(ms(90)));
    assert_eq!(losses(&mut history, 90, None).0, [0, 1]);
}

#[test]
fn once_packets_were_seen_out_of_order_counting_no_longer_decides() {
    let mut history = sent(&[0, 0, 0, 0]);
    history.handle_ack(ms(80), TransmissionId(2), Seq(1));
    history.handle_ack(ms(81), TransmissionId(1), Seq(0));
    history.handle_ack(ms(82), TransmissionId(4), Seq(3));
    assert!(losses(&mut history, 82, Some(1)).0.is_empty());
}

#[test]
fn only_the_first_ack_of_the_newest_transmission_is_a_round_trip() {
    let mut history = sent(&[0, 10, 20]);
    let answer = history.handle_ack(ms(100), TransmissionId(2), Seq(1));
    assert_eq!(answer.rtt, Some(Duration::from_millis(90)));
    assert_eq!(
        history.handle_ack(ms(101), TransmissionId(2), Seq(1)),
        Answer::default()
    );
    assert_eq!(
        history.handle_ack(ms(900), TransmissionId(1), Seq(0)).rtt,
        None
    );
    assert_eq!(
        history.handle_ack(ms(900), TransmissionId(3), Seq(0)),
        Answer::default()
    );
    assert_eq!(
        history.handle_ack(ms(900), TransmissionId(77), Seq(2)),
        Answer::default()
    );
}

#[test]
fn a_spurious_loss_widens_the_window() {
    let mut history = sent(&[0, 0]);
    history.handle_ack(ms(80), TransmissionId(2), Seq(1));
    assert_eq!(losses(&mut history, 90, None).0, [0]);
    assert!(
        history
            .handle_ack(ms(95), TransmissionId(1), Seq(0))
            .spurious
    );
    history.record(ms(100), Seq(2), None);
    history.record(ms(100), Seq(3), None);
    history.handle_ack(ms(180), TransmissionId(4), Seq(3));
    assert_eq!(losses(&mut history, 180, None).1, Some(ms(200)));
}

#[test]
fn a_lost_resend_is_found_like_any_other() {
    let mut history = sent(&[0]);
    let again = history.record(ms(50), Seq(0), Some(TransmissionId(1)));
    history.record(ms(60), Seq(1), None);
    history.handle_ack(ms(140), TransmissionId(3), Seq(1));
    let mut found = Vec::new();
    history.detect_losses(
        ms(150),
        &steady_rtt(),
        None,
        |_, id| {
            if id == again {
                Standing::UnderWay
            } else {
                Standing::SentAgain
            }
        },
        |sn, at, _| found.push((sn, at)),
    );
    assert_eq!(found, [(Seq(0), ms(50))]);
}

#[test]
fn the_loss_rate_follows_the_path() {
    let mut history = History::new(1_024);
    for sn in 0..5_000 {
        let id = history.record(ms(sn.into()), Seq(sn), None);
        if sn % 10 != 0 {
            history.handle_ack(ms(u64::from(sn) + 1), id, Seq(sn));
        }
        losses(&mut history, u64::from(sn) + 1, Some(1));
        history.forget_before(Seq(sn));
    }
    assert!(
        (0.07..0.13).contains(&history.loss_rate()),
        "{}",
        history.loss_rate()
    );
    assert!(history.records.len() < 2 * MAX_SETTLED);
}

#[test]
fn a_loss_that_the_copy_repaired_counts_though_una_covers_it() {
    let mut history = History::new(1_024);
    let first = history.record(ms(0), Seq(0), None);
    let copy = history.record(ms(6), Seq(0), Some(first));
    history.handle_ack(ms(86), copy, Seq(0));
    history.handle_covered(copy);
    history.detect_losses(
        ms(86),
        &steady_rtt(),
        Some(2),
        |_, _| Standing::Arrived,
        |_, _, _| panic!("nothing must be sent again"),
    );
    assert!(history.loss_rate() > 0.05, "{}", history.loss_rate());
}

#[test]
fn an_original_that_only_una_acknowledged_is_no_loss() {
    // Two segments in one burst: the acknowledgement names the second alone. Both copies are under way.
    let mut history = sent(&[0, 0]);
    history.record(ms(6), Seq(0), Some(TransmissionId(1)));
    let copy = history.record(ms(6), Seq(1), Some(TransmissionId(2)));
    history.handle_ack(ms(80), TransmissionId(2), Seq(1));
    history.handle_covered(TransmissionId(3));
    history.handle_covered(copy);
    // Later the copies are acknowledged, by the second alone again.
    history.handle_ack(ms(86), copy, Seq(1));
    history.detect_losses(
        ms(86),
        &steady_rtt(),
        Some(2),
        |_, _| Standing::Arrived,
        |_, _, _| panic!("nothing must be sent again"),
    );
    assert_eq!(history.loss_rate(), 0.0);
}

#[test]
fn records_are_bounded_whatever_is_acknowledged() {
    let mut history = History::new(1_024);
    for sn in 0..3 * 8_192 {
        history.record(ms(0), Seq(sn), None);
    }
    assert_eq!(history.records.len(), 8_192);
    let newest = TransmissionId(3 * 8_192);
    history.handle_ack(ms(80), newest, Seq(newest.0 - 1));
    let (found, _) = losses(&mut history, 200, None);
    assert_eq!(found.len(), 8_192 - 1);
}
