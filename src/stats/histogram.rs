//! A log-linear histogram of durations: one thread records, any thread reads.
//!
//! The idea is Gil Tene's HdrHistogram. Every octave (the values from one power of two to the
//! next) is cut into 16 buckets of equal width, so a bucket is never wider than a sixteenth of the
//! values in it: 593 counters cover 0 ns to 2^40 ns (18 minutes) at one relative precision. Below
//! 16 ns a bucket holds one value; the last bucket holds everything from 2^40 ns upwards.
//!
//! A [`Histogram`] belongs to the thread that records into it, which therefore needs no
//! read-modify-write: a load and a store of its own counter. Readers add the counters of many
//! owners to one [`HistogramSnapshot`].
//!
//! # Orderings
//!
//! All Relaxed. A counter says nothing about any other memory, and a reader that runs beside the
//! owner may miss the latest records, or see one in its bucket and not yet in the sum.
//!
//! # Progress
//!
//! Recording and reading are wait-free, except for the first record, which allocates.

use std::sync::OnceLock;
use std::time::Duration;

use crate::sync::counter::{AtomicU64, Ordering, bump};

/// Buckets an octave, as a power of two.
const SUB_BITS: u32 = 4;
const SUB_BUCKETS: usize = 1 << SUB_BITS;
/// Values from here on, in nanoseconds, share the last bucket.
const RANGE_NS: u64 = 1 << 40;
const BUCKETS: usize = bucket_of(RANGE_NS) + 1;

/// The bucket that counts `ns`.
///
/// With `shift` the octave's distance from the first 16 values, `ns >> shift` lies in 16..32 and so
/// already holds both the sub-bucket and a carry of one octave.
#[inline(always)]
const fn bucket_of(ns: u64) -> usize {
    let ns = if ns < RANGE_NS { ns } else { RANGE_NS };
    let octave = (ns | SUB_BUCKETS as u64).ilog2();
    let shift = octave - SUB_BITS;
    shift as usize * SUB_BUCKETS + (ns >> shift) as usize
}

/// The smallest value, in nanoseconds, that `bucket` counts.
const fn lower_edge(bucket: usize) -> u64 {
    let shift = (bucket / SUB_BUCKETS).saturating_sub(1);
    ((bucket - shift * SUB_BUCKETS) as u64) << shift
}

/// The largest value, in nanoseconds, that `bucket` counts.
const fn upper_edge(bucket: usize) -> u64 {
    if bucket + 1 < BUCKETS {
        lower_edge(bucket + 1) - 1
    } else {
        u64::MAX
    }
}

/// What the owner writes. Boxed on the first record, so that the histogram of a lane or a worker
/// that never ran anything costs three words.
#[derive(Debug)]
struct Cells {
    /// How many records fell into each bucket. Written by the owner alone, read by anyone.
    buckets: [AtomicU64; BUCKETS],
    /// All recorded nanoseconds added up, at most `u64::MAX`. Written by the owner alone.
    sum_ns: AtomicU64,
    /// The largest record in nanoseconds. Written by the owner alone.
    max_ns: AtomicU64,
}

impl Cells {
    fn boxed() -> Box<Self> {
        Box::new(Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        })
    }
}

/// Counts durations, in nanoseconds. One thread at a time records; any thread reads.
#[derive(Debug)]
pub(crate) struct Histogram {
    cells: OnceLock<Box<Cells>>,
}

impl Histogram {
    /// An empty histogram. Allocates nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            cells: OnceLock::new(),
        }
    }

    /// Counts one duration. Only the owner may call it: a second writer would lose records, though
    /// nothing worse. Allocates (5 KiB) the first time and never again.
    #[inline]
    pub(crate) fn record(&self, ns: u64) {
        let cells = self.cells.get_or_init(Cells::boxed);
        // Relaxed: the owner reads back its own stores, and readers accept any recent value.
        if ns > cells.max_ns.load(Ordering::Relaxed) {
            cells.max_ns.store(ns, Ordering::Relaxed);
        }
        let sum_ns = cells.sum_ns.load(Ordering::Relaxed).saturating_add(ns);
        cells.sum_ns.store(sum_ns, Ordering::Relaxed);
        bump(&cells.buckets[bucket_of(ns)], 1);
    }

    /// Adds everything recorded so far to `snapshot`.
    pub(crate) fn add_to(&self, snapshot: &mut HistogramSnapshot) {
        let Some(cells) = self.cells.get() else {
            return;
        };
        for (bucket, counter) in cells.buckets.iter().enumerate() {
            // Relaxed: any recent value will do.
            snapshot.add(bucket, counter.load(Ordering::Relaxed));
        }
        // Relaxed: as above. A sum or maximum newer than the buckets is as true as an older one.
        let sum_ns = cells.sum_ns.load(Ordering::Relaxed);
        let max_ns = cells.max_ns.load(Ordering::Relaxed);
        snapshot.sum_ns = snapshot.sum_ns.saturating_add(sum_ns);
        snapshot.max_ns = snapshot.max_ns.max(max_ns);
    }
}

/// A histogram of durations as it was at one moment: counts, mean, maximum and percentiles.
///
/// Durations are kept in nanoseconds in 16 buckets an octave, as in HdrHistogram, so
/// [`quantile`](Self::quantile) may be too large by up to a sixteenth (6.25 %), never too small.
/// The count, the sum and the maximum are exact. Snapshots of several histograms add up with
/// [`merge`](Self::merge).
///
/// A snapshot of a histogram that is being written may lack the records of that very moment.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let nothing = lanepool::HistogramSnapshot::default();
/// assert!(nothing.is_empty());
/// assert_eq!(nothing.p99(), Duration::ZERO);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Empty as long as nothing is counted, else `BUCKETS` long: two empty snapshots are equal.
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u64,
    max_ns: u64,
}

impl HistogramSnapshot {
    fn add(&mut self, bucket: usize, records: u64) {
        if records == 0 {
            return;
        }
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        self.buckets[bucket] += records;
        self.count += records;
        // A record may be seen before the maximum that came with it.
        self.max_ns = self.max_ns.max(lower_edge(bucket));
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All recorded durations added up, at most 2^64 − 1 ns (584 years).
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The mean duration, rounded down to a nanosecond; zero if nothing was recorded.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.checked_div(self.count).unwrap_or(0))
    }

    /// The longest duration, exact; zero if nothing was recorded.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The duration that a share `q` of the records does not exceed; zero if nothing was recorded.
    ///
    /// By nearest rank: of n records, the one of rank ⌈q·n⌉ counted from the shortest, and the first
    /// for `q` = 0. The answer is the upper edge of that record's bucket, or the maximum if that is
    /// less: at least the true value, above it by less than a sixteenth of it. From 2^40 ns
    /// (18 minutes) upwards it is the maximum. A `q` outside 0 to 1 counts as the nearer end, NaN as
    /// 0.
    pub fn quantile(&self, q: f64) -> Duration {
        // A float turned into an integer saturates, and NaN becomes 0.
        let rank = ((q * self.count as f64).ceil() as u64)
            .min(self.count)
            .max(1);
        let mut below = 0;
        for (bucket, records) in self.buckets.iter().enumerate() {
            below += records;
            if below >= rank {
                return Duration::from_nanos(upper_edge(bucket).min(self.max_ns));
            }
        }
        Duration::ZERO
    }

    /// The median. See [`quantile`](Self::quantile) for its precision.
    pub fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    /// The duration that nine of ten records do not exceed.
    pub fn p90(&self) -> Duration {
        self.quantile(0.9)
    }

    /// The duration that 99 of 100 records do not exceed.
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// The duration that 999 of 1,000 records do not exceed.
    pub fn p999(&self) -> Duration {
        self.quantile(0.999)
    }

    /// Adds the records of `other`, as if both had been recorded here.
    pub fn merge(&mut self, other: &HistogramSnapshot) {
        for (bucket, records) in other.buckets.iter().enumerate() {
            self.add(bucket, *records);
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded(values: &[u64]) -> HistogramSnapshot {
        let histogram = Histogram::new();
        for &ns in values {
            histogram.record(ns);
        }
        snapshot_of(&histogram)
    }

    fn snapshot_of(histogram: &Histogram) -> HistogramSnapshot {
        let mut snapshot = HistogramSnapshot::default();
        histogram.add_to(&mut snapshot);
        snapshot
    }

    /// Durations of every magnitude, edges of buckets among them.
    fn duration_ns() -> impl Strategy<Value = u64> {
        let near_edges = (0..41u32, 0..16u64, -1..=1i64).prop_map(|(shift, part, off)| {
            let edge = (1u64 << shift) + (part << shift >> SUB_BITS);
            edge.saturating_add_signed(off)
        });
        prop_oneof![
            near_edges,
            (0..44u32, any::<u64>()).prop_map(|(bits, any)| any & ((1 << bits) - 1))
        ]
    }

    #[test]
    fn buckets_tile_the_range() {
        assert_eq!(lower_edge(0), 0);
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(lower_edge(bucket)), bucket);
            assert_eq!(bucket_of(upper_edge(bucket)), bucket);
            if bucket + 1 < BUCKETS {
                assert_eq!(upper_edge(bucket) + 1, lower_edge(bucket + 1));
                let width = upper_edge(bucket) - lower_edge(bucket) + 1;
                assert!(width == 1 || width * SUB_BUCKETS as u64 <= lower_edge(bucket));
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_are_where_the_docs_say() {
        assert_eq!(BUCKETS, 593);
        assert_eq!(bucket_of(RANGE_NS - 1), BUCKETS - 2);
        assert_eq!(bucket_of(RANGE_NS), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(upper_edge(BUCKETS - 2), RANGE_NS - 1);
        assert_eq!(upper_edge(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn an_empty_histogram_reports_zeroes() {
        let snapshot = snapshot_of(&Histogram::new());
        assert!(snapshot.is_empty());
        assert_eq!(snapshot, HistogramSnapshot::default());
        let all = [
            snapshot.mean(),
            snapshot.max(),
            snapshot.sum(),
            snapshot.p50(),
            snapshot.p999(),
        ];
        assert_eq!(all, [Duration::ZERO; 5]);
    }

    #[test]
    fn a_zero_is_a_record() {
        let snapshot = recorded(&[0]);
        assert!(!snapshot.is_empty());
        assert_eq!((snapshot.count(), snapshot.max()), (1, Duration::ZERO));
    }

    #[test]
    fn beyond_the_range_the_quantile_is_the_maximum() {
        let snapshot = recorded(&[RANGE_NS, RANGE_NS * 3, 5]);
        assert_eq!(snapshot.p50(), Duration::from_nanos(RANGE_NS * 3));
        assert_eq!(snapshot.quantile(0.0), Duration::from_nanos(5));
    }

    #[test]
    fn sums_saturate() {
        let mut snapshot = recorded(&[u64::MAX, u64::MAX]);
        assert_eq!(snapshot.sum(), Duration::from_nanos(u64::MAX));
        snapshot.merge(&snapshot.clone());
        assert_eq!(
            (snapshot.count(), snapshot.sum()),
            (4, Duration::from_nanos(u64::MAX))
        );
    }

    #[test]
    fn a_share_outside_zero_to_one_is_the_nearer_end() {
        let snapshot = recorded(&[1, 2, 3]);
        for (q, ns) in [(-1.0, 1), (f64::NAN, 1), (2.0, 3), (f64::INFINITY, 3)] {
            assert_eq!(snapshot.quantile(q), Duration::from_nanos(ns), "{q}");
        }
    }

    #[test]
    fn a_reader_beside_the_owner_never_sees_a_count_fall() {
        const RECORDS: u64 = 200_000;
        let histogram = Histogram::new();
        std::thread::scope(|scope| {
            let owner = scope.spawn(|| (0..RECORDS).for_each(|ns| histogram.record(ns)));
            let mut seen = 0;
            while !owner.is_finished() {
                let snapshot = snapshot_of(&histogram);
                assert!(snapshot.count() >= seen);
                assert!(snapshot.quantile(1.0) <= snapshot.max());
                seen = snapshot.count();
            }
        });
        let whole = snapshot_of(&histogram);
        assert_eq!(
            whole.sum(),
            Duration::from_nanos(RECORDS * (RECORDS - 1) / 2)
        );
        assert_eq!(whole.max(), Duration::from_nanos(RECORDS - 1));
        assert_eq!(whole.count(), RECORDS);
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_sixteenth_above_the_exact_one(
            mut values in prop::collection::vec(duration_ns(), 1..200),
            q in 0.0..=1.0f64,
        ) {
            let snapshot = recorded(&values);
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            let reported = snapshot.quantile(q).as_nanos() as u64;
            prop_assert!(reported >= exact, "{reported} is below {exact}");
            if exact < RANGE_NS {
                prop_assert!((reported - exact) * 16 <= exact, "{reported} is far above {exact}");
            }
        }

        #[test]
        fn count_sum_and_maximum_are_exact(values in prop::collection::vec(duration_ns(), 1..100)) {
            let snapshot = recorded(&values);
            let sum: u64 = values.iter().sum();
            prop_assert_eq!(snapshot.count(), values.len() as u64);
            prop_assert_eq!(snapshot.sum(), Duration::from_nanos(sum));
            prop_assert_eq!(snapshot.mean(), Duration::from_nanos(sum / values.len() as u64));
            prop_assert_eq!(snapshot.max().as_nanos() as u64, *values.iter().max().unwrap());
        }

        #[test]
        fn merging_is_recording_both(
            one in prop::collection::vec(duration_ns(), 0..50),
            other in prop::collection::vec(duration_ns(), 0..50),
        ) {
            let together = recorded(&[one.as_slice(), &other].concat());
            let mut merged = recorded(&one);
            merged.merge(&recorded(&other));
            prop_assert_eq!(merged, together);
        }

        #[test]
        fn quantiles_rise_with_the_share(
            values in prop::collection::vec(duration_ns(), 1..100),
            q in 0.0..=1.0f64,
            more in 0.0..=1.0f64,
        ) {
            let snapshot = recorded(&values);
            prop_assert!(snapshot.quantile(q) <= snapshot.quantile((q + more).min(1.0)));
            prop_assert!(snapshot.quantile(1.0) <= snapshot.max());
        }
    }
}
