//! Latencies as counts in buckets: small enough to keep every run whole, exact to under one percent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Durations, counted in buckets whose width is under 1/128 of their value.
///
/// Written as pairs of bucket and count. The Go program counts in the same buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u64)>", into = "Vec<(u32, u64)>")]
pub(crate) struct Histogram {
    /// By rising bucket, none empty.
    counts: std::collections::BTreeMap<u32, u64>,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        *self.counts.entry(bucket(nanos)).or_default() += 1;
    }

    /// Adds what another one counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (&bucket, &count) in &other.counts {
            *self.counts.entry(bucket).or_default() += count;
        }
    }

    /// How many were counted.
    pub(crate) fn len(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The smallest value that at least this share of all values does not exceed; `None` without values.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = ((self.len() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.counts.iter().find_map(|(&bucket, &count)| {
            seen += count;
            (seen >= wanted).then(|| middle(bucket))
        })
    }

    /// The share of values up to each value that occurs, by rising value.
    pub(crate) fn cdf(&self) -> Vec<(Duration, f64)> {
        let all = self.len() as f64;
        let mut seen = 0;
        let point = |(&bucket, &count): (&u32, &u64)| {
            seen += count;
            (middle(bucket), seen as f64 / all)
        };
        self.counts.iter().map(point).collect()
    }
}

impl From<Vec<(u32, u64)>> for Histogram {
    fn from(pairs: Vec<(u32, u64)>) -> Self {
        let mut counts = std::collections::BTreeMap::new();
        for (bucket, count) in pairs {
            if count > 0 {
                *counts.entry(bucket).or_default() += count;
            }
        }
        Self { counts }
    }
}

impl From<Histogram> for Vec<(u32, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.counts.into_iter().collect()
    }
}

/// Values below 128 ns have a bucket each; every power of two above is cut into 128.
fn bucket(nanos: u64) -> u32 {
    if nanos < STEPS {
        return nanos as u32;
    }
    let shift = nanos.ilog2() - STEPS.ilog2();
    (shift + 1) * STEPS as u32 + ((nanos >> shift) - STEPS) as u32
}

/// The middle of a bucket.
fn middle(bucket: u32) -> Duration {
    let steps = STEPS as u32;
    let nanos = if bucket < steps {
        u64::from(bucket)
    } else {
        let shift = (bucket / steps - 1).min(u64::BITS - 1 - STEPS.ilog2());
        let low = (STEPS + u64::from(bucket % steps)) << shift;
        low + (1 << shift) / 2
    };
    Duration::from_nanos(nanos)
}

/// Buckets per power of two.
const STEPS: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        for value in millis {
            histogram.record(Duration::from_millis(value));
        }
        histogram
    }

    fn close(value: Option<Duration>, millis: f64) -> bool {
        value.is_some_and(|value| (value.as_secs_f64() * 1e3 / millis - 1.0).abs() < 0.01)
    }

    #[test]
    fn quantiles_are_the_values_at_their_rank() {
        let histogram = of(1..=1_000);
        assert_eq!(histogram.len(), 1_000);
        assert!(close(histogram.quantile(0.0), 1.0));
        assert!(close(histogram.quantile(0.5), 500.0));
        assert!(close(histogram.quantile(0.99), 990.0));
        assert!(close(histogram.quantile(0.999), 999.0));
        assert!(close(histogram.quantile(1.0), 1_000.0));
        assert_eq!(of([]).quantile(0.5), None);
    }

    #[test]
    fn a_bucket_holds_values_within_a_percent_of_its_middle() {
        let mut nanos = 1_u64;
        while nanos < 1 << 62 {
            let middle = middle(bucket(nanos)).as_nanos() as f64;
            let error = (middle / nanos as f64 - 1.0).abs();
            assert!(error < 0.01, "{nanos} became {middle}");
            nanos += nanos / 7 + 1;
        }
    }

    #[test]
    fn buckets_rise_with_their_values() {
        let values = (0..2_000).chain((11..60).flat_map(|bits| [(1 << bits) - 1, 1_u64 << bits]));
        let buckets: Vec<_> = values.map(bucket).collect();
        assert!(buckets.is_sorted());
        assert_eq!(bucket(127) + 1, bucket(128));
        assert_eq!(bucket(255) + 1, bucket(256));
    }

    #[test]
    fn the_cdf_rises_to_one() {
        let cdf = of([5, 5, 10, 20]).cdf();
        let shares: Vec<_> = cdf.iter().map(|point| point.1).collect();
        assert_eq!(shares, [0.5, 0.75, 1.0]);
        assert!(close(Some(cdf[1].0), 10.0));
    }

    #[test]
    fn merging_counts_both() {
        let mut merged = of([1, 2]);
        merged.merge(&of([2, 3]));
        assert_eq!(merged, of([1, 2, 2, 3]));
    }

    #[test]
    fn text_holds_the_whole_histogram_and_foreign_buckets_do_no_harm() {
        let histogram = of([1, 1, 70, 40_000]);
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        let odd: Histogram = serde_json::from_str("[[4294967295,1],[3,0],[5,2]]").unwrap();
        assert_eq!(odd.len(), 3);
        assert!(odd.quantile(1.0).is_some());
    }
}
