//! The time that a call has, as its caller says in `grpc-timeout`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::{Sleep, sleep};
use tonic::Status;

/// When a call is over, whatever has become of it.
#[derive(Debug)]
pub(super) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// Of the call with these headers. What is not a time by the rules of gRPC is none.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let time = headers.get("grpc-timeout").and_then(parse);
        Self(time.map(|time| Box::pin(sleep(time))))
    }
}

impl Future for Deadline {
    type Output = Status;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Status> {
        match &mut self.0 {
            Some(sleep) => sleep
                .as_mut()
                .poll(cx)
                .map(|()| Status::deadline_exceeded("the deadline of the call has passed")),
            None => Poll::Pending,
        }
    }
}

/// One to eight digits and a unit, see "Requests" in gRPC's `PROTOCOL-HTTP2.md`.
fn parse(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits
        .iter()
        .fold(0, |amount, digit| 10 * amount + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(3_600 * amount),
        b'M' => Duration::from_secs(60 * amount),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(value: &'static str) -> Option<Duration> {
        parse(&HeaderValue::from_static(value))
    }

    #[test]
    fn every_unit_is_understood() {
        assert_eq!(time("3H"), Some(Duration::from_secs(10_800)));
        assert_eq!(time("3M"), Some(Duration::from_secs(180)));
        assert_eq!(time("3S"), Some(Duration::from_secs(3)));
        assert_eq!(time("3m"), Some(Duration::from_millis(3)));
        assert_eq!(time("3u"), Some(Duration::from_micros(3)));
        assert_eq!(time("99999999n"), Some(Duration::from_nanos(99_999_999)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for value in ["", "S", "3", "3s", "-3S", "3.5S", "123456789S", "3 S"] {
            assert_eq!(time(value), None, "{value}");
        }
    }
}
