//! What a batch of `n` requests costs, learnt as it goes: `a + b * n`. Pure.
//!
//! A least-squares line through the observations, each of which counts for a fixed part less with every later
//! one (exponential forgetting; see Haykin, *Adaptive Filter Theory*, on recursive least squares). Batches of
//! nearly one size tell the line's height and not its slope; then both parts are scaled alike.

/// How much of an observation's weight is left after the next one: after 64 batches a quarter, after 256 a
/// two-hundredth.
const KEPT: f64 = 0.98;
/// An observation counts as no more than this many times what was expected: a worker may lose its CPU in
/// the middle of a batch.
const SURPRISE: f64 = 4.0;
/// From this squared coefficient of variation of the sizes on the slope is taken from the observations.
const SPREAD: f64 = 0.001;

/// The line as learnt so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Curve {
    /// Nanoseconds of a batch, and of each of its requests.
    fixed_ns: f64,
    each_ns: f64,
    /// Weighted sums of 1, n, n*n, t and n*t.
    ones: f64,
    n: f64,
    nn: f64,
    t: f64,
    nt: f64,
    /// Whether the slope was ever taken from observations.
    is_known: bool,
}

impl Curve {
    /// A batch of so many took so long.
    pub(crate) fn observe(&mut self, requests: usize, took_ns: u64) {
        let n = requests as f64;
        let mut t = took_ns as f64;
        if let Some(expected_ns) = self.cost_ns(requests) {
            t = t.min(SURPRISE * (expected_ns as f64 + 1.0));
        }
        for sum in [
            &mut self.ones,
            &mut self.n,
            &mut self.nn,
            &mut self.t,
            &mut self.nt,
        ] {
            *sum *= KEPT;
        }
        self.ones += 1.0;
        self.n += n;
        self.nn += n * n;
        self.t += t;
        self.nt += n * t;
        self.fit();
    }

    fn fit(&mut self) {
        let (mean_n, mean_t) = (self.n / self.ones, self.t / self.ones);
        let variance = self.nn / self.ones - mean_n * mean_n;
        if variance > SPREAD * mean_n * mean_n {
            let covariance = self.nt / self.ones - mean_n * mean_t;
            // Neither part of a cost is below zero.
            self.each_ns = (covariance / variance).clamp(0.0, mean_t / mean_n);
            self.fixed_ns = mean_t - self.each_ns * mean_n;
            self.is_known = true;
            return;
        }
        let expected = self.fixed_ns + self.each_ns * mean_n;
        if expected > 0.0 {
            let scale = mean_t / expected;
            self.fixed_ns *= scale;
            self.each_ns *= scale;
        } else {
            // Nothing is known but one size: half to each part.
            self.fixed_ns = mean_t / 2.0;
            self.each_ns = mean_t / 2.0 / mean_n;
        }
    }

    /// What a batch of so many is expected to take; `None` before the first observation.
    pub(crate) fn cost_ns(&self, requests: usize) -> Option<u64> {
        let cost_ns = self.fixed_ns + self.each_ns * requests as f64;
        (self.ones > 0.0).then_some(cost_ns as u64)
    }

    /// The two parts, in nanoseconds; `None` before batches of different sizes were observed.
    pub(crate) fn parts_ns(&self) -> Option<(f64, f64)> {
        self.is_known.then_some((self.fixed_ns, self.each_ns))
    }

    /// What batches took lately; 0 before the first observation.
    pub(crate) fn mean_ns(&self) -> f64 {
        self.t / self.ones.max(1.0)
    }

    /// The most requests whose batch takes no longer than this; at least 1.
    pub(crate) fn most_within(&self, ns: u64) -> usize {
        let left = ns as f64 - self.fixed_ns;
        if self.ones == 0.0 || left >= self.each_ns * 1e9 {
            return usize::MAX;
        }
        // A negative number becomes 0.
        ((left / self.each_ns) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes from 1 to 20, in no order.
    fn size(step: usize) -> usize {
        step * 7 % 20 + 1
    }

    fn learn(curve: &mut Curve, batches: usize, cost: impl Fn(usize) -> u64) {
        for step in 0..batches {
            curve.observe(size(step), cost(size(step)));
        }
    }

    fn is_near(curve: &Curve, requests: usize, ns: u64) -> bool {
        let cost = curve.cost_ns(requests).expect("there are observations");
        cost.abs_diff(ns) * 10 <= ns
    }

    #[test]
    fn it_finds_the_line() {
        let mut curve = Curve::default();
        assert_eq!(curve.cost_ns(3), None);
        learn(&mut curve, 40, |n| 100_000 + 1_000 * n as u64);
        let (fixed, each) = curve.parts_ns().expect("there are observations");
        assert!((99_000.0..101_000.0).contains(&fixed) && (950.0..1_050.0).contains(&each));
        assert_eq!(curve.most_within(120_000), 20);
        assert_eq!(curve.most_within(50_000), 1, "one at least");
    }

    #[test]
    fn a_step_is_followed_within_256_batches() {
        for (before, after) in [
            ((100_000, 1_000), (1_000, 10_000)),
            ((1_000, 10_000), (400_000, 10)),
        ] {
            let mut curve = Curve::default();
            learn(&mut curve, 500, |n| before.0 + before.1 * n as u64);
            learn(&mut curve, 256, |n| after.0 + after.1 * n as u64);
            for n in [1, 8, 32] {
                assert!(
                    is_near(&curve, n, after.0 + after.1 * n as u64),
                    "{curve:?}"
                );
            }
        }
    }

    #[test]
    fn batches_of_one_size_tell_the_height_alone() {
        let mut curve = Curve::default();
        learn(&mut curve, 40, |n| 10_000 + 1_000 * n as u64);
        (0..400).for_each(|_| curve.observe(10, 40_000));
        assert!(is_near(&curve, 10, 40_000));
        let mut fresh = Curve::default();
        (0..40).for_each(|_| fresh.observe(10, 40_000));
        assert!(is_near(&fresh, 10, 40_000) && fresh.parts_ns().is_none());
    }

    #[test]
    fn one_long_batch_says_little() {
        let mut curve = Curve::default();
        learn(&mut curve, 100, |n| 10_000 + 1_000 * n as u64);
        curve.observe(10, 1_000_000_000);
        let cost = curve.cost_ns(10).expect("there are observations");
        assert!(cost < 24_000, "{cost}");
    }

    #[test]
    fn neither_part_is_below_zero() {
        let mut curve = Curve::default();
        learn(&mut curve, 60, |n| 100_000 - 4_000 * n as u64);
        let (fixed, each) = curve.parts_ns().expect("there are observations");
        assert!(fixed >= 0.0 && each >= 0.0, "{curve:?}");
        assert_eq!(curve.most_within(1_000_000_000), usize::MAX);
    }
}
