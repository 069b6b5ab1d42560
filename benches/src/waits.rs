//! How long the tasks of each lane waited in certain stretches of time, by the pool's own clock.
//!
//! A pool's statistics go back to its beginning. This is a monitor that can be told when to count, so that a
//! warm-up is left out. A pool with a monitor times every task, as one with `sample_every` 1 does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use lanepool::PerformanceMonitor;

/// As many lanes as there are priorities.
const LANES: usize = 4;
/// Parts of an octave: a value is found to within a sixteenth.
const PARTS: usize = 16;
const BUCKETS: usize = 61 * PARTS;

/// The waits of each lane. Clones share them; one is the pool's monitor.
#[derive(Clone, Debug)]
pub struct Waits(Arc<Recorded>);

#[derive(Debug)]
struct Recorded {
    // Written by whoever measures; read by every worker for each task.
    counting: AtomicBool,
    // Written by every worker; read when the tasks have their outcomes.
    lanes: [Box<[AtomicU64]>; LANES],
}

impl Default for Waits {
    fn default() -> Self {
        let buckets = || (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Recorded {
            counting: AtomicBool::new(false),
            lanes: std::array::from_fn(|_| buckets()),
        }))
    }
}

impl Waits {
    /// Whether waits that end from now on count. They do not at first.
    pub fn count(&self, counting: bool) {
        // Relaxed: a few more or less at the edge make no difference.
        self.0.counting.store(counting, Ordering::Relaxed);
    }

    /// The wait that 99 of 100 tasks of this lane did not exceed, rounded up by less than a sixteenth;
    /// `None` if none was measured.
    #[must_use]
    pub fn p99(&self, lane: usize) -> Option<Duration> {
        // Relaxed: whoever reads has heard from the workers that they are done.
        let counts = self.0.lanes.get(lane)?.iter();
        let counts: Vec<u64> = counts.map(|count| count.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let rank = all - all / 100;
        let mut below = 0;
        let bucket = counts.iter().position(|count| {
            below += count;
            all > 0 && below >= rank
        })?;
        Some(Duration::from_nanos(end(bucket)))
    }
}

impl PerformanceMonitor for Waits {
    fn on_dequeued(&self, lane: usize, wait: Duration) {
        // Relaxed: counters, and the flag is no more than a hint.
        if self.0.counting.load(Ordering::Relaxed)
            && let Some(buckets) = self.0.lanes.get(lane)
        {
            let ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
            buckets[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The bucket that counts `ns`: sixteen to an octave, after Gil Tene's HdrHistogram.
fn bucket(ns: u64) -> usize {
    let shift = (ns | PARTS as u64).ilog2() - PARTS.ilog2();
    shift as usize * PARTS + (ns >> shift) as usize
}

/// The largest value of a bucket.
fn end(bucket: usize) -> u64 {
    let shift = (bucket / PARTS).saturating_sub(1);
    let first = (bucket - shift * PARTS) as u64;
    (first << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_bucket_that_ends_at_it_or_shortly_after() {
        for ns in (0..64).flat_map(|octave| [1_u64 << octave, (1 << octave) - 1, 11 << octave >> 2])
        {
            let found = end(bucket(ns));
            assert!(found >= ns && found - ns <= ns / 16, "{ns}: {found}");
            assert!(bucket(ns) == 0 || end(bucket(ns) - 1) < ns, "{ns}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_waits_while_nobody_counts_is_left_out() {
        let waits = Waits::default();
        waits.on_dequeued(1, Duration::from_secs(9));
        waits.count(true);
        assert_eq!(waits.p99(1), None);
        for ns in 1..=100 {
            waits.on_dequeued(1, Duration::from_nanos(if ns > 98 { 1 << 20 } else { 7 }));
        }
        assert_eq!(waits.p99(0), None);
        // Two of a hundred were long, so one of them is within the 99.
        assert_eq!(
            waits.p99(1),
            Some(Duration::from_nanos((1 << 20) + (1 << 16) - 1))
        );
        for _ in 0..100 {
            waits.on_dequeued(1, Duration::from_nanos(7));
        }
        assert_eq!(waits.p99(1), Some(Duration::from_nanos(7)));
    }
}
