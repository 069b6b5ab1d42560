//! Work that keeps a CPU busy.

use std::{
    hint::black_box,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// So much arithmetic. A fixed amount of it and not a fixed time, for a task that is preempted has its work
/// still to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    rounds: u32,
}

impl Busy {
    /// Keeps a CPU of this machine busy for about this long, if nobody takes it away.
    #[must_use]
    pub fn of(time: Duration) -> Self {
        static ROUNDS_PER_US: OnceLock<f64> = OnceLock::new();
        let per_us = ROUNDS_PER_US.get_or_init(rounds_per_us);
        Self::rounds((per_us * time.as_nanos() as f64 / 1000.0) as u32)
    }

    /// So many dependent multiplications, each one to two nanoseconds.
    #[must_use]
    pub fn rounds(rounds: u32) -> Self {
        Self { rounds }
    }

    /// Does the work.
    pub fn run(self) {
        let mut hash = black_box(1_u64);
        for _ in 0..self.rounds {
            hash = (hash ^ (hash >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        black_box(hash);
    }

    /// This work and as much again, so many times in all.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self::rounds(self.rounds * times)
    }

    /// This work and then that.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self::rounds(self.rounds + more.rounds)
    }
}

/// Of the quickest of many trials, which is the one that nobody interrupted.
fn rounds_per_us() -> f64 {
    let work = Busy::rounds(20_000);
    let trial = || {
        let began = Instant::now();
        work.run();
        began.elapsed()
    };
    let quickest = (0..200).map(|_| trial()).min().unwrap_or(Duration::MAX);
    f64::from(work.rounds) * 1000.0 / quickest.as_nanos().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_adds_up() {
        let work = Busy::rounds(100).and(Busy::rounds(7).times(3));
        assert_eq!(work, Busy::rounds(121));
        assert_eq!(Busy::of(Duration::ZERO), Busy::rounds(0));
    }

    #[test]
    fn ten_times_the_time_is_ten_times_the_work() {
        let (one, ten) = (
            Busy::of(Duration::from_millis(1)),
            Busy::of(Duration::from_millis(10)),
        );
        assert!(one.rounds > 1000, "{one:?}");
        assert!(ten.rounds.abs_diff(one.times(10).rounds) <= 10, "{ten:?}");
    }
}
