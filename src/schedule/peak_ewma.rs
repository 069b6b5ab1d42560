//! How long a worker takes to respond: a cell that it writes and anybody reads.
//!
//! A balancer wants to leave a worker alone the moment it gets slow, and to come back carefully.
//! [`PeakEwma`] does so after Finagle's balancer of that name: a sample above the value becomes the
//! value at once, a lower one is blended in with the weight `1 - exp(-dt / tau)`, `dt` being the time
//! since the last sample and `tau` one second. Weighing by time and not by samples makes it forget at
//! the same pace whether a worker answers ten times a second or a million times.
//!
//! **A worker without samples.** A slow worker is chosen no more, so it gets no samples, so its value
//! stands: without more it would never be tried again. Finagle lets the value decay towards 0 for whoever
//! reads it. Here that holds for a worker with nothing outstanding alone. It looks better by a factor
//! `e` each second, is chosen at last, and has something outstanding from that moment; then the value
//! counts in full again, so that one task alone goes to it until its sample tells. A worker with work in
//! its hands is going to give a sample, and one that gives none for long may be stuck: it must not look
//! quicker the longer that lasts. A value below a nanosecond reads as 0, which is "not known".
//!
//! A sample is how long a task ran, its wait left out: what waits before it is counted as outstanding.
//! Where only one task in several is timed, a slow worker that is tried again gets tasks one at a time
//! until one of them is.
//!
//! **An average is something else.** A peak is too high by design, and weights by time count a task the
//! more the longer it took. [`MeanEwma`] weighs by samples and is what a worker's average response
//! time is.
//!
//! # Orderings
//!
//! Every access is Relaxed; a hint orders nothing. The worker alone writes, so it reads back what it
//! wrote. A reader may see the two words of [`PeakEwma`] of two successive samples, because they are
//! stored one after the other. The new value with the old time decays too much, if at all, and the old
//! value with the new time too little: either lies between 0 and a value that the cell really had, and
//! by the next sample it is over. What depends on it is which of two workers gets one task.

use crate::sync::counter::{AtomicU64, Ordering, bump};

/// The time after which a value has decayed to 1/e, in nanoseconds.
const TAU_NS: f64 = 1e9;

/// What is left of a weight after `dt_ns`.
fn kept(dt_ns: u64) -> f64 {
    (-(dt_ns as f64) / TAU_NS).exp()
}

/// The value after a sample that comes `dt_ns` after the last one.
fn peak(value: f64, sample: f64, dt_ns: u64) -> f64 {
    if sample >= value {
        sample
    } else {
        sample + (value - sample) * kept(dt_ns)
    }
}

/// The peak EWMA of one worker's response time.
#[derive(Debug, Default)]
pub(crate) struct PeakEwma {
    /// Nanoseconds, as the bits of an `f64`: in whole ones, a thousand small steps would round to
    /// nothing. Its worker writes it, balancers read it.
    value: AtomicU64,
    /// When the last sample came, on the pool's clock; 0 before the first. Written after the value.
    updated_ns: AtomicU64,
}

impl PeakEwma {
    /// Notes a response that took `sample_ns` and ended at `now_ns`, which is not 0. For the worker
    /// alone.
    pub(crate) fn record(&self, now_ns: u64, sample_ns: u64) {
        // A response of no time at all is known all the same.
        let sample = sample_ns.max(1) as f64;
        let updated_ns = self.updated_ns.load(Ordering::Relaxed);
        let value = f64::from_bits(self.value.load(Ordering::Relaxed));
        let value = peak(value, sample, now_ns.saturating_sub(updated_ns));
        self.value.store(value.to_bits(), Ordering::Relaxed);
        self.updated_ns.store(now_ns, Ordering::Relaxed);
    }

    /// How long a response takes in nanoseconds, as far as is known at `now_ns`; 0 if it is not.
    ///
    /// `idle` says that the worker has nothing outstanding: its value has decayed since its last sample.
    pub(crate) fn read(&self, now_ns: u64, idle: bool) -> u64 {
        let value = f64::from_bits(self.value.load(Ordering::Relaxed));
        if idle {
            // The sample may be younger than the reader's clock.
            let dt_ns = now_ns.saturating_sub(self.updated_ns.load(Ordering::Relaxed));
            (value * kept(dt_ns)) as u64
        } else {
            value as u64
        }
    }

    /// When the last sample came, if any has.
    pub(crate) fn last_update_ns(&self) -> Option<u64> {
        Some(self.updated_ns.load(Ordering::Relaxed)).filter(|updated_ns| *updated_ns != 0)
    }
}

/// So many samples shape a mean, the later ones more.
const MEAN_SAMPLES: u64 = 32;

/// The mean after sample number `count`, counted from 1: the plain mean of the first 32, and from then
/// on each sample weighs one in 32.
fn mean(value: f64, sample: f64, count: u64) -> f64 {
    value + (sample - value) / count.clamp(1, MEAN_SAMPLES) as f64
}

/// The mean of one worker's last response times.
#[derive(Debug, Default)]
pub(crate) struct MeanEwma {
    /// Nanoseconds, as the bits of an `f64`. Its worker writes it, anybody reads it.
    value: AtomicU64,
    /// Samples so far. The worker's own.
    count: AtomicU64,
}

impl MeanEwma {
    /// Notes a response that took `sample_ns`. For the worker alone.
    pub(crate) fn record(&self, sample_ns: u64) {
        bump(&self.count, 1);
        let count = self.count.load(Ordering::Relaxed);
        let value = f64::from_bits(self.value.load(Ordering::Relaxed));
        let value = mean(value, sample_ns as f64, count);
        self.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The mean in nanoseconds; 0 before the first sample.
    pub(crate) fn read(&self) -> u64 {
        f64::from_bits(self.value.load(Ordering::Relaxed)).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;

    #[test]
    fn a_peak_counts_at_once_and_a_lower_sample_by_time() {
        let cell = PeakEwma::default();
        assert_eq!((cell.read(SECOND, true), cell.last_update_ns()), (0, None));
        cell.record(SECOND, 2 * MS);
        cell.record(SECOND + 1, 9 * MS);
        assert_eq!(cell.read(SECOND + 1, false), 9 * MS);
        cell.record(2 * SECOND + 1, MS);
        // 1 ms, and 1/e of the 8 ms above it.
        assert_eq!(cell.read(2 * SECOND + 1, false), 3_943_035);
        assert_eq!(cell.last_update_ns(), Some(2 * SECOND + 1));
    }

    #[test]
    fn an_idle_worker_looks_better_in_time_and_a_busy_one_does_not() {
        let cell = PeakEwma::default();
        cell.record(SECOND, 100 * MS);
        assert_eq!(cell.read(SECOND, true), 100 * MS);
        assert_eq!(cell.read(2 * SECOND, true), 36_787_944);
        assert_eq!(cell.read(60 * SECOND, true), 0, "not known any more");
        assert_eq!(cell.read(60 * SECOND, false), 100 * MS);
    }

    #[test]
    fn a_reader_with_an_older_clock_sees_the_value() {
        let cell = PeakEwma::default();
        cell.record(5 * SECOND, MS);
        assert_eq!(cell.read(SECOND, true), MS);
    }

    #[test]
    fn a_response_of_no_time_is_known() {
        let cell = PeakEwma::default();
        cell.record(SECOND, 0);
        assert_eq!(cell.read(SECOND, true), 1);
    }

    #[test]
    fn many_small_steps_come_to_as_much_as_a_large_one() {
        let cell = PeakEwma::default();
        cell.record(SECOND, 1_000_000);
        for step in 1..=100_000 {
            cell.record(SECOND + step * 10_000, 100);
        }
        let expected = 100.0 + 999_900.0 * (-1.0_f64).exp();
        let read = cell.read(2 * SECOND, false) as f64;
        assert!((read - expected).abs() < 2.0, "{read} for {expected}");
    }

    #[test]
    fn a_mean_is_plain_at_first_and_forgets_later() {
        let cell = MeanEwma::default();
        assert_eq!(cell.read(), 0);
        [100, 200, 600].iter().for_each(|ns| cell.record(*ns));
        assert_eq!(cell.read(), 300);
        (0..29).for_each(|_| cell.record(300));
        cell.record(300 + 320);
        assert_eq!(cell.read(), 310, "the 33rd weighs one in 32");
        (0..1_000).for_each(|_| cell.record(7));
        assert_eq!(cell.read(), 7);
    }

    proptest! {
        /// The value lies between the last sample and the highest ever, and never decays faster than
        /// its time allows.
        #[test]
        fn a_peak_lies_between_its_samples(
            samples in prop::collection::vec((1_u64..10 * SECOND, 1_u64..SECOND), 1..50),
        ) {
            let cell = PeakEwma::default();
            let (mut now, mut before, mut highest) = (0, 0, 0);
            for (dt, sample) in samples {
                now += dt;
                cell.record(now, sample);
                highest = highest.max(sample);
                let value = cell.read(now, true);
                prop_assert!(value + 1 >= sample && value <= highest);
                prop_assert!(value + 2 >= (before as f64 * kept(dt)) as u64);
                prop_assert_eq!(value, cell.read(now, false));
                before = value;
            }
            let later = cell.read(now + SECOND, true);
            prop_assert!(later <= before && cell.read(now + 2 * SECOND, true) <= later);
        }

        /// Whatever two successive states a torn read mixes, it reads no more than the higher value.
        #[test]
        fn a_torn_read_is_bounded(
            first in (1_u64..SECOND, 1_u64..SECOND),
            second in (1_u64..SECOND, 1_u64..SECOND),
            later in 0_u64..SECOND,
        ) {
            let (cell, old) = (PeakEwma::default(), PeakEwma::default());
            cell.record(first.0, first.1);
            old.record(first.0, first.1);
            let now = first.0 + second.0;
            cell.record(now, second.1);
            let highest = cell.read(now, false).max(old.read(now, false));
            // The value is stored first, so this is what a reader between the two stores sees.
            old.value.store(cell.value.load(Ordering::Relaxed), Ordering::Relaxed);
            let torn = old.read(now + later, true);
            prop_assert!(torn <= highest);
            prop_assert!(torn <= cell.read(now + later, true), "it decays too much, if at all");
        }

        #[test]
        fn a_mean_stays_among_its_samples(
            samples in prop::collection::vec(0_u64..SECOND, 1..100),
        ) {
            let cell = MeanEwma::default();
            samples.iter().for_each(|ns| cell.record(*ns));
            let least = *samples.iter().min().unwrap();
            let most = *samples.iter().max().unwrap();
            prop_assert!((least..=most).contains(&cell.read()));
        }
    }
}
