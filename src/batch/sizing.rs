//! How large a batch is to be. Pure: the same observations give the same sizes.
//!
//! Larger batches carry more requests a second, `n / (a + b * n)`, and answer each of them later. So a batch is
//! to be as large as pays: until it carries 98.5 % of what the largest would. It is to be smaller where the
//! time to answer that the user wants, or that deadlines leave, is shorter than two such batches, the one that runs
//! when a request comes and its own; and in any case it is as large as the load needs, or else the queue would grow and every
//! answer be late.

use super::curve::Curve;
use super::form::TIMER_NS;
use super::giving_way::Costs;

/// How a size is judged: the part of the largest batch's throughput at which it is large enough, and how many
/// times the measured load it is to carry, so that a backlog goes down again.
struct Demand {
    worth: f64,
    headroom: f64,
}

/// A size is chosen by the middle of these, and kept while it is between the outer two: where the curve is
/// flat a little noise moves the chosen size by much, and nothing is gained by following it.
const LEAST: Demand = Demand {
    worth: 0.975,
    headroom: 1.1,
};
const CHOSEN: Demand = Demand {
    worth: 0.985,
    headroom: 1.25,
};
const MOST: Demand = Demand {
    worth: 0.995,
    headroom: 1.5,
};
/// Every so many batches one is to be half as large or twice, by turns, so that the slope of the curve stays
/// known. Where batches are as large as they may be it is every fourth time three quarters: there the most is
/// lost.
const PROBE_EVERY: u64 = 8;
/// Every so many batches the size is judged.
const JUDGED_EVERY: u64 = 4;
/// The fixed part of a batch's cost is taken to be larger by this part of a batch's usual cost: where it is small its estimate
/// is uncertain, and a batch that is too small costs more than one that is too large.
const MARGIN: f64 = 0.03;
/// Batches over which the load is measured.
const WINDOW: u64 = 32;
/// The part of the load of one window that counts in the next.
const FADING: f64 = 0.8;
/// By how much the tightest deadline seen lately is taken to be looser with each batch that has none as tight: twice
/// as loose after 70.
const LOOSER: f64 = 1.01;

/// A batch that has run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) requests: usize,
    /// Requests that expired before they could be in a batch, since the last one.
    pub(crate) missing: usize,
    pub(crate) took_ns: u64,
    /// When it ended.
    pub(crate) now_ns: u64,
    /// The shortest time that one of its requests had from acceptance to its deadline.
    pub(crate) slack_ns: Option<u64>,
}

/// What one kind of batches costs, and how large they are to be.
#[derive(Clone, Debug)]
pub(crate) struct Sizer {
    curve: Curve,
    most: usize,
    adaptive: bool,
    target_ns: Option<u64>,
    workers: usize,
    /// The shortest time from acceptance to deadline lately.
    tightest_ns: f64,
    size: usize,
    needed: usize,
    batches: u64,
    /// The window in which the load is measured: when it began, the requests since, and how many a
    /// nanosecond came in the one before.
    window_from_ns: u64,
    window_requests: u64,
    load: f64,
}

impl Sizer {
    /// For batches of at most so many requests, of `workers` workers.
    pub(crate) fn new(most: usize, adaptive: bool, target_ns: Option<u64>, workers: usize) -> Self {
        Self {
            curve: Curve::default(),
            most,
            adaptive,
            target_ns,
            workers,
            tightest_ns: f64::INFINITY,
            size: most,
            needed: 1,
            batches: 0,
            window_from_ns: 0,
            window_requests: 0,
            load: 0.0,
        }
    }

    /// A batch has run.
    pub(crate) fn observe(&mut self, ran: &Ran) {
        let &Ran {
            requests,
            missing,
            took_ns,
            now_ns,
            slack_ns,
        } = ran;
        self.curve.observe(requests, took_ns);
        let slack_ns = slack_ns.map_or(f64::INFINITY, |slack_ns| slack_ns as f64);
        self.tightest_ns = (self.tightest_ns * LOOSER).min(slack_ns);
        self.batches += 1;
        if self.window_from_ns == 0 {
            self.window_from_ns = now_ns;
        } else {
            // What was not run for lack of time belongs to the load, or else small batches would make it seem light.
            self.window_requests += (requests + missing) as u64;
        }
        if self.batches.is_multiple_of(WINDOW) && now_ns > self.window_from_ns {
            let load = self.window_requests as f64 / (now_ns - self.window_from_ns) as f64;
            // A burst counts for some windows, since the next one is like it.
            self.load = load.max(self.load * FADING);
            (self.window_from_ns, self.window_requests) = (now_ns, 0);
        }
        if self.adaptive && self.batches.is_multiple_of(JUDGED_EVERY) {
            self.judge();
        }
    }

    fn judge(&mut self) {
        if !(self.best(&LEAST)..=self.best(&MOST)).contains(&self.size) {
            self.size = self.best(&CHOSEN);
        }
        self.needed = self.needed(&CHOSEN);
    }

    /// The size that the next batch is to have.
    pub(crate) fn target(&self) -> usize {
        let probes = self.adaptive && self.batches % PROBE_EVERY == PROBE_EVERY - 1;
        match self.batches / PROBE_EVERY % 4 {
            _ if !probes => self.size,
            0 if self.size == self.most => (self.size * 3).div_ceil(4),
            2 if self.size == self.most => self.size,
            0 | 2 => self.size.div_ceil(2),
            _ => (self.size * 2).min(self.most),
        }
    }

    /// The size that batches have as a rule.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The most requests that a batch may hold whose tightest one has so long left, and which holds so many already:
    /// as many as are done in time, but as many as the load needs in any case, and as many as usual if even one alone
    /// would be late.
    pub(crate) fn most_within(&self, left_ns: u64, held: usize) -> usize {
        let alone_ns = self.curve.cost_ns(1);
        if alone_ns.is_some_and(|cost_ns| cost_ns > left_ns) {
            return usize::MAX;
        }
        self.curve.most_within(left_ns).max(held).max(self.needed)
    }

    /// What batches cost, once that is known.
    pub(crate) fn costs(&self) -> Option<Costs> {
        let (fixed_ns, each_ns) = self.curve.parts_ns()?;
        Some(Costs {
            fixed_ns,
            each_ns,
            // Larger batches follow a small one.
            least: self.needed.div_ceil(2),
        })
    }

    /// The longest that a worker may linger for a fuller batch, in nanoseconds. To run what it has costs the fixed part
    /// once more than to wait for the rest, so once it has waited for that long it might as well have run it, and whoever
    /// waits no longer loses no more than twice what could be had (the rent-or-buy rule; Karlin, Manasse, Rudolph and
    /// Sleator 1988). Nor is it worth a timer that is late by more than that.
    pub(crate) fn linger_ns(&self) -> u64 {
        match self.curve.parts_ns().filter(|_| self.adaptive) {
            None => u64::MAX,
            Some((fixed_ns, _)) if (fixed_ns as u64) < TIMER_NS / 2 => 0,
            Some((fixed_ns, _)) => fixed_ns as u64,
        }
    }

    pub(crate) fn curve(&self) -> &Curve {
        &self.curve
    }

    fn best(&self, demand: &Demand) -> usize {
        let Some((fixed_ns, each_ns)) = self.curve.parts_ns() else {
            return self.most;
        };
        let fixed_ns = fixed_ns + MARGIN * self.curve.mean_ns();
        let best = self.carries(self.most, fixed_ns, each_ns);
        let pays = self.that_carries(demand.worth * best, fixed_ns, each_ns);
        let wanted_ns = self.target_ns.unwrap_or(u64::MAX);
        let in_time = self
            .curve
            .most_within(wanted_ns.min(self.tightest_ns as u64) / 2);
        pays.min(in_time)
            .max(self.needed(demand))
            .clamp(1, self.most)
    }

    /// The least size that carries the load.
    fn needed(&self, demand: &Demand) -> usize {
        let Some((fixed_ns, each_ns)) = self.curve.parts_ns() else {
            return 1;
        };
        let fixed_ns = fixed_ns + MARGIN * self.curve.mean_ns();
        let load = demand.headroom * self.load / self.workers as f64;
        self.that_carries(load, fixed_ns, each_ns)
    }

    /// The requests a nanosecond that a worker runs in batches of so many.
    fn carries(&self, size: usize, fixed_ns: f64, each_ns: f64) -> f64 {
        size as f64 / (fixed_ns + each_ns * size as f64).max(1.0)
    }

    /// The least size whose batches carry so many requests a nanosecond; the most if none does.
    fn that_carries(&self, rate: f64, fixed_ns: f64, each_ns: f64) -> usize {
        let spare = 1.0 - rate * each_ns;
        if spare <= 0.0 {
            return self.most;
        }
        let size = (rate * fixed_ns / spare).ceil();
        (size as usize).clamp(1, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(requests: usize, took_ns: u64, now_ns: u64, slack_ns: Option<u64>) -> Ran {
        Ran {
            requests,
            missing: 0,
            took_ns,
            now_ns,
            slack_ns,
        }
    }

    /// Runs batches of the target size, back to back, and returns the last sizes.
    fn run(
        sizer: &mut Sizer,
        clock_ns: &mut u64,
        batches: usize,
        cost: impl Fn(usize) -> u64,
    ) -> Vec<usize> {
        let mut sizes = Vec::new();
        for _ in 0..batches {
            let size = sizer.target();
            let took_ns = cost(size);
            *clock_ns += took_ns;
            sizer.observe(&ran(size, took_ns, *clock_ns, None));
            sizes.push(sizer.size());
        }
        sizes
    }

    fn curve(fixed_ns: u64, each_ns: u64) -> impl Fn(usize) -> u64 {
        move |n| fixed_ns + each_ns * n as u64
    }

    #[test]
    fn under_full_load_it_carries_nearly_what_the_best_size_does() {
        for (fixed, each) in [
            (100_000, 1_000),
            (30_000, 3_000),
            (10_000, 5_000),
            (1_000, 10_000),
            (0, 1_000),
            (5_000, 0),
        ] {
            let mut sizer = Sizer::new(64, true, None, 2);
            run(&mut sizer, &mut 1, 200, curve(fixed, each));
            let carries = |n: usize| n as f64 / curve(fixed, each)(n).max(1) as f64;
            let best = (1..=64).map(carries).fold(0.0, f64::max);
            assert!(
                carries(sizer.size()) >= 0.95 * best,
                "({fixed}, {each}): {}",
                sizer.size()
            );
        }
    }

    #[test]
    fn where_requests_cost_all_and_batches_nothing_they_stay_small_under_light_load() {
        let mut sizer = Sizer::new(64, true, None, 2);
        let cost = curve(1_000, 10_000);
        let mut now_ns = 1;
        for step in 0..200 {
            let size = sizer.target().min(step % 2 + 1);
            now_ns += 10 * cost(size);
            sizer.observe(&ran(size, cost(size), now_ns, None));
        }
        assert!(sizer.size() <= 10, "{}", sizer.size());
    }

    /// A tenth of the time is used, but nine of ten requests expire before they are run.
    #[test]
    fn what_expires_belongs_to_the_load() {
        let mut sizer = Sizer::new(64, true, None, 1);
        let cost = curve(1_000, 10_000);
        let mut now_ns = 1;
        for step in 0..200 {
            let size = sizer.target().min(step % 2 + 1);
            now_ns += 10 * cost(size);
            sizer.observe(&Ran {
                missing: 9 * size,
                ..ran(size, cost(size), now_ns, None)
            });
        }
        assert_eq!(sizer.size(), 64);
    }

    #[test]
    fn the_target_time_is_kept_where_the_load_allows_it() {
        let cost = curve(50_000, 1_000);
        let mut sizer = Sizer::new(64, true, Some(140_000), 1);
        let mut now_ns = 1;
        for step in 0..200 {
            let size = sizer.target().min(step % 3 + 1);
            now_ns += 20 * cost(size);
            sizer.observe(&ran(size, cost(size), now_ns, None));
        }
        assert!(
            (15..=20).contains(&sizer.size()),
            "2 * (50 + 20) µs: {}",
            sizer.size()
        );
        run(&mut sizer, &mut now_ns, 400, &cost);
        assert_eq!(sizer.size(), 64, "the load needs more than the time allows");
    }

    #[test]
    fn noise_moves_the_size_seldom_and_never_by_much() {
        for (fixed, each) in [(100_000, 1_000), (10_000, 5_000), (1_000, 10_000)] {
            let mut sizer = Sizer::new(64, true, None, 2);
            let mut noise = 7_u64;
            let mut now_ns = 1;
            let mut sizes = Vec::new();
            let carries = |n: usize| n as f64 / curve(fixed, each)(n) as f64;
            for step in 0..2_000 {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let size = sizer.target();
                // A tenth more or less.
                let took_ns = curve(fixed, each)(size) * (90 + (noise >> 33) % 21) / 100;
                now_ns += took_ns;
                sizer.observe(&ran(size, took_ns, now_ns, None));
                if step >= 1_000 {
                    sizes.push(sizer.size());
                }
            }
            let changes = sizes.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(
                changes <= 80,
                "({fixed}, {each}): {changes} changes in 1,000 batches"
            );
            let worst = sizes
                .iter()
                .map(|size| carries(*size))
                .fold(f64::MAX, f64::min);
            assert!(worst >= 0.94 * carries(64), "({fixed}, {each}): {sizes:?}");
        }
    }

    #[test]
    fn a_tight_deadline_counts_for_a_while() {
        let cost = curve(50_000, 1_000);
        let mut sizer = Sizer::new(64, true, None, 1);
        let mut now_ns = 1;
        let mut run = |sizer: &mut Sizer, batches: usize, slack_ns: fn(usize) -> Option<u64>| {
            for step in 0..batches {
                let size = sizer.target().min(step % 3 + 1);
                now_ns += 20 * cost(size);
                sizer.observe(&ran(size, cost(size), now_ns, slack_ns(step)));
            }
            sizer.size()
        };
        assert!(run(&mut sizer, 100, |_| None) > 40);
        let tight = run(&mut sizer, 100, |step| (step % 8 == 0).then_some(140_000));
        assert!((15..=25).contains(&tight), "2 * (50 + 20) µs: {tight}");
        assert!(run(&mut sizer, 200, |_| Some(10_000_000)) > 40);
    }

    #[test]
    fn a_deadline_bounds_a_batch_unless_it_is_too_late_or_the_load_needs_more() {
        let cost = curve(50_000, 1_000);
        let mut sizer = Sizer::new(64, true, None, 1);
        let mut now_ns = 1;
        for step in 0..100 {
            let size = step % 3 + 1;
            now_ns += 20 * cost(size);
            sizer.observe(&ran(size, cost(size), now_ns, None));
        }
        assert!((19..=21).contains(&sizer.most_within(70_000, 3)));
        assert_eq!(
            sizer.most_within(45_000, 1),
            usize::MAX,
            "one alone takes longer"
        );
        assert_eq!(sizer.most_within(60_000, 20), 20, "what it holds it keeps");
        run(&mut sizer, &mut now_ns, 200, &cost);
        assert!(
            sizer.most_within(70_000, 3) > 40,
            "the load needs large ones"
        );
    }

    #[test]
    fn after_a_step_it_has_the_new_size_within_256_batches() {
        let mut sizer = Sizer::new(64, true, None, 2);
        let mut now_ns = 1;
        run(&mut sizer, &mut now_ns, 500, curve(1_000, 10_000));
        run(&mut sizer, &mut now_ns, 256, curve(100_000, 1_000));
        let carries = |n: usize| n as f64 / curve(100_000, 1_000)(n) as f64;
        assert!(
            carries(sizer.size()) >= 0.95 * carries(64),
            "{}",
            sizer.size()
        );
    }

    #[test]
    fn nobody_lingers_for_longer_than_a_batch_costs_in_itself() {
        let lingers = |adaptive, cost: (u64, u64)| {
            let mut sizer = Sizer::new(64, adaptive, None, 2);
            assert_eq!(sizer.linger_ns(), u64::MAX, "nothing is known");
            let mut now_ns = 1;
            for step in 0..200 {
                let size = sizer.target().min(step % 3 + 1);
                let took_ns = curve(cost.0, cost.1)(size);
                now_ns += took_ns;
                sizer.observe(&ran(size, took_ns, now_ns, None));
            }
            sizer.linger_ns()
        };
        assert!((990_000..=1_010_000).contains(&lingers(true, (1_000_000, 10_000))));
        assert_eq!(lingers(true, (10_000, 1_000)), 0, "a timer is later");
        assert_eq!(lingers(false, (10_000, 1_000)), u64::MAX);
    }

    #[test]
    fn a_size_that_is_told_stays() {
        let mut sizer = Sizer::new(24, false, None, 2);
        assert!(
            run(&mut sizer, &mut 1, 100, curve(1, 10_000))
                .iter()
                .all(|size| *size == 24)
        );
        assert_eq!(sizer.target(), 24);
    }
}
