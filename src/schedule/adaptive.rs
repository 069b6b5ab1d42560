//! Which balancing strategy is in force, chosen from measured waits. Pure: no clock, no atomics.

mod comparison;
mod gauge;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use self::comparison::{KEPT, TRIAL, clearly_below, far_above, median, shows_improvement};
use self::gauge::{Figures, Gauge, Measure, Wait};
use super::strategy::LoadBalancingStrategy;

/// A candidate whose first windows have so many times the best one's wait is not measured to the end.
const HOPELESS_TIMES: u64 = 3;
const HOPELESS_WINDOWS: usize = 2;
/// Windows in a row whose wait is so many times the usual one are a step.
const STEP: usize = 4;
const STEP_TIMES: u64 = 2;
/// The usual wait is known from so many windows on.
const USUAL: usize = 8;
/// Windows from a choice to the first probe; after each probe that found nothing better, twice as many.
const PROBE_GAP: u32 = 128;
const MOST_PROBE_GAP: u32 = 1_024;
/// Windows from a choice until a step counts; after each start that changed nothing, twice as many.
const START_GAP: u32 = 8;
const MOST_START_GAP: u32 = 512;

/// What was measured during one window of time, under the strategy then in force.
///
/// A window may be of any length, but all of one controller should be of about the same, and long
/// beside a usual wait: tens of milliseconds for most pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceWindow {
    /// Tasks that started in this window and whose wait was measured.
    pub tasks: u64,
    /// Their mean wait.
    pub mean_wait: Duration,
    /// The longest wait among them.
    pub worst_wait: Duration,
}

/// A change of the strategy in force, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BalanceChange {
    /// What was in force; where a probe is won, what was in force before it.
    pub from: LoadBalancingStrategy,
    /// What is in force now.
    pub to: LoadBalancingStrategy,
    /// One sentence with the figures that led to it.
    pub why: String,
}

/// Chooses among the balancing strategies by measured waits: what
/// [`AdaptiveHybrid`](LoadBalancingStrategy::AdaptiveHybrid) does.
///
/// A state machine without a clock. Whoever owns it applies the strategy
/// [`in_force`](Self::in_force), measures for a window of time how long tasks wait, and hands that to
/// [`observe`](Self::observe). A pool does this for itself; the controller is public for those who
/// want to run it against measurements of their own.
///
/// # What it does
///
/// - **Warm-up.** Every candidate is tried for 5 windows: least connections, response time weighted,
///   round robin, and weighted round robin if weights differ. The first window of each is left out
///   because it has tasks of the strategy before, and so are up to 3 more while each halves the wait,
///   which means that a backlog is being worked off. Of the other 4 the median counts. A candidate that
///   is 3 times worse than another in both of the first two is not tried any longer. So after 15 windows
///   (20 with weights; 24 and 32 if every candidate meets a backlog) the one with the shortest wait is in
///   force.
/// - **Probes.** After 128 windows another one is tried again for 5 windows (8 at most), and given up
///   early if it is 3 times worse. Each probe that finds nothing better doubles the time to the
///   next one, up to 1,024 windows. So at most one window in 17 is spent on probes, and one in 129
///   while nothing changes.
/// - **A change is made only if it is clear**: the median wait of a probe must be 15 % and a microsecond
///   shorter, and at most 5 of the 64 pairs of a probe's window and one of the 16 last windows may say
///   the contrary. Between strategies that are equally good, however much windows scatter, a probe
///   is won by chance once in 269 times at most.
/// - **Steps.** When 4 windows in a row have a wait more than twice the usual one and above every one of
///   the last 16, the situation is a new one and the warm-up starts over. So 19 windows after a step
///   (24 with weights; 28 and 36 at most) the strategy is the right one for the new load. Then the one
///   that was in force before keeps its place unless another is clearly better. A start that changes
///   nothing doubles the time until the next one is allowed, from 8 windows up to 512, so that a load
///   which comes and goes is not answered by endless trials; a step within that time, or one to
///   shorter waits, is left to the probes.
///
/// Windows with fewer than 8 timed tasks are added to the next one, so "window" above means one with at
/// least as many. Windows without tasks count for nothing: a pool at rest changes nothing.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lanepool::{AdaptiveLoadController, BalanceWindow, LoadBalancingStrategy};
///
/// // A pool with one slow worker: whoever looks at response times waits least.
/// let waits = |strategy| match strategy {
///     LoadBalancingStrategy::ResponseTimeWeighted => Duration::from_micros(200),
///     LoadBalancingStrategy::LeastConnections => Duration::from_micros(600),
///     _ => Duration::from_millis(5),
/// };
/// let mut controller = AdaptiveLoadController::new(false);
/// for _ in 0..15 {
///     let mean_wait = waits(controller.in_force());
///     let window = BalanceWindow { tasks: 100, mean_wait, worst_wait: 10 * mean_wait };
///     if let Some(change) = controller.observe(window) {
///         println!("{:?} to {:?}: {}", change.from, change.to, change.why);
///     }
/// }
/// assert_eq!(controller.in_force(), LoadBalancingStrategy::ResponseTimeWeighted);
/// ```
#[derive(Clone, Debug)]
pub struct AdaptiveLoadController {
    candidates: Vec<Candidate>,
    /// Indices into the candidates. The two differ while others are tried.
    in_force: usize,
    chosen: usize,
    phase: Phase,
    gauge: Gauge,
    /// The last waits under the chosen one, in nanoseconds.
    kept: VecDeque<u64>,
    /// Waits since then that may be a step.
    high: Vec<u64>,
    /// Measured windows under the chosen one since it was chosen, and until the next probe.
    since_choice: u32,
    until_probe: u32,
    probe_gap: u32,
    start_gap: u32,
    /// The candidate probed last.
    probed: usize,
}

#[derive(Clone, Debug)]
struct Candidate {
    strategy: LoadBalancingStrategy,
    /// Its last trial.
    trial: Vec<Measure>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Every candidate is tried in turn; so many have been.
    WarmUp { tried: usize, again: bool },
    /// The chosen one is in force.
    Steady,
    /// Another one is tried.
    Probe,
}

impl AdaptiveLoadController {
    /// At the beginning of its warm-up. `weighted`: the workers' weights differ, so that
    /// [`WeightedRoundRobin`](LoadBalancingStrategy::WeightedRoundRobin) is a candidate.
    pub fn new(weighted: bool) -> Self {
        let mut strategies = vec![
            // First the one that needs no history.
            LoadBalancingStrategy::LeastConnections,
            LoadBalancingStrategy::ResponseTimeWeighted,
            LoadBalancingStrategy::RoundRobin,
        ];
        if weighted {
            strategies.push(LoadBalancingStrategy::WeightedRoundRobin);
        }
        let candidate = |strategy| Candidate {
            strategy,
            trial: Vec::with_capacity(TRIAL),
        };
        Self {
            candidates: strategies.into_iter().map(candidate).collect(),
            in_force: 0,
            chosen: 0,
            phase: Phase::WarmUp {
                tried: 0,
                again: false,
            },
            gauge: Gauge::settling(),
            kept: VecDeque::with_capacity(KEPT),
            high: Vec::with_capacity(STEP),
            since_choice: 0,
            until_probe: PROBE_GAP,
            probe_gap: PROBE_GAP,
            start_gap: START_GAP,
            probed: 0,
        }
    }

    /// The strategy to apply now. Never
    /// [`AdaptiveHybrid`](LoadBalancingStrategy::AdaptiveHybrid).
    pub fn in_force(&self) -> LoadBalancingStrategy {
        self.candidates[self.in_force].strategy
    }

    /// Takes note of a window that was measured under the strategy [`in_force`](Self::in_force).
    ///
    /// Returns a change if there is one; the new strategy is in force from then on, and the next window
    /// must be measured under it. Each change of `in_force` is told, and so is a probe that was won,
    /// whose strategy was in force already.
    pub fn observe(&mut self, window: BalanceWindow) -> Option<BalanceChange> {
        let measure = self.gauge.add(window)?;
        match self.phase {
            Phase::WarmUp { tried, again } => self.warm_up(measure, tried, again),
            Phase::Steady => self.steady(measure),
            Phase::Probe => self.probe(measure),
        }
    }

    fn warm_up(&mut self, measure: Measure, tried: usize, again: bool) -> Option<BalanceChange> {
        // A trial that was not reached yet is empty.
        let others = self.candidates.iter().enumerate();
        let best_ns = others
            .filter(|(index, other)| *index != self.in_force && !other.trial.is_empty())
            .map(|(_, other)| other.median_ns())
            .min();
        let current = &mut self.candidates[self.in_force];
        current.trial.push(measure);
        if !current.is_tried(best_ns.unwrap_or(u64::MAX)) {
            return None;
        }
        let tried = tried + 1;
        if tried == self.candidates.len() {
            return self.choose(again);
        }
        self.phase = Phase::WarmUp { tried, again };
        let next = self.after(self.in_force);
        let why = format!(
            "{}, and {:?} is tried",
            self.candidates[self.in_force].told(),
            self.name(next)
        );
        Some(self.put_in_force(next, why))
    }

    /// Every candidate has been tried.
    fn choose(&mut self, again: bool) -> Option<BalanceChange> {
        let best = (0..self.candidates.len())
            .min_by_key(|index| self.candidates[*index].median_ns())
            .unwrap_or(self.chosen);
        let (chosen_ns, best_ns) = (
            self.candidates[self.chosen].median_ns(),
            self.candidates[best].median_ns(),
        );
        if !again {
            self.chosen = best;
        } else if clearly_below(best_ns, chosen_ns) {
            self.chosen = best;
            self.start_gap = START_GAP;
        } else {
            self.start_gap = (self.start_gap * 2).min(MOST_START_GAP);
        }
        self.settle_on_chosen();
        if self.chosen == self.in_force {
            return None;
        }
        let listed: Vec<_> = self.candidates.iter().map(Candidate::told).collect();
        let why = format!(
            "{:?} is kept, after all were tried: {}",
            self.name(self.chosen),
            listed.join("; ")
        );
        Some(self.put_in_force(self.chosen, why))
    }

    /// The one in `chosen` is so from now on; its trial is what is known of it.
    fn settle_on_chosen(&mut self) {
        let trial = &self.candidates[self.chosen].trial;
        self.kept = trial.iter().map(|measure| measure.mean_ns).collect();
        self.high.clear();
        self.since_choice = 0;
        self.probe_gap = PROBE_GAP;
        self.until_probe = PROBE_GAP;
        self.phase = Phase::Steady;
    }

    fn steady(&mut self, measure: Measure) -> Option<BalanceChange> {
        self.since_choice = self.since_choice.saturating_add(1);
        self.high.push(measure.mean_ns);
        if self.looks_like_a_step(measure.mean_ns) {
            if self.high.len() < STEP {
                return None;
            }
            if self.since_choice >= self.start_gap {
                return Some(self.start_over());
            }
        }
        for wait_ns in self.high.drain(..) {
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back(wait_ns);
        }
        self.until_probe = self.until_probe.saturating_sub(1);
        (self.until_probe == 0).then(|| self.begin_probe())
    }

    fn looks_like_a_step(&self, wait_ns: u64) -> bool {
        self.kept.len() >= USUAL
            && far_above(wait_ns, self.usual_ns(), STEP_TIMES)
            && self.kept.iter().all(|kept| *kept < wait_ns)
    }

    fn start_over(&mut self) -> BalanceChange {
        let next = self.after(self.chosen);
        let why = format!(
            "the wait under {:?} rose from {} to {} in {STEP} windows, so all are tried again",
            self.name(self.chosen),
            Wait(self.usual_ns()),
            Wait(median(self.high.iter().copied())),
        );
        for candidate in &mut self.candidates {
            candidate.trial.clear();
        }
        // Those before first, the chosen one last, so that it is measured again as well.
        self.phase = Phase::WarmUp {
            tried: 0,
            again: true,
        };
        self.put_in_force(next, why)
    }

    fn begin_probe(&mut self) -> BalanceChange {
        self.probed = self.after(self.probed);
        if self.probed == self.chosen {
            self.probed = self.after(self.probed);
        }
        self.candidates[self.probed].trial.clear();
        self.phase = Phase::Probe;
        let why = format!(
            "{:?} is tried again beside {:?}, which has a wait of {} in its last {} windows",
            self.name(self.probed),
            self.name(self.chosen),
            Wait(self.usual_ns()),
            self.kept.len(),
        );
        self.put_in_force(self.probed, why)
    }

    fn probe(&mut self, measure: Measure) -> Option<BalanceChange> {
        let usual_ns = self.usual_ns();
        let probed = &mut self.candidates[self.in_force];
        probed.trial.push(measure);
        if !probed.is_tried(usual_ns) {
            return None;
        }
        let waits: Vec<u64> = probed.trial.iter().map(|tried| tried.mean_ns).collect();
        let told = probed.told();
        let (from, usual) = (self.name(self.chosen), Wait(usual_ns));
        if shows_improvement(&waits, self.kept.make_contiguous()) {
            let why = format!("{told}, clearly less than the {usual} of {from:?}");
            self.chosen = self.in_force;
            self.start_gap = START_GAP;
            self.settle_on_chosen();
            let to = self.in_force();
            return Some(BalanceChange { from, to, why });
        }
        let why = format!("{told}, not clearly less than the {usual} of {from:?}");
        self.probe_gap = (self.probe_gap * 2).min(MOST_PROBE_GAP);
        self.until_probe = self.probe_gap;
        self.phase = Phase::Steady;
        Some(self.put_in_force(self.chosen, why))
    }

    fn put_in_force(&mut self, next: usize, why: String) -> BalanceChange {
        let from = self.in_force();
        self.in_force = next;
        self.gauge = Gauge::settling();
        BalanceChange {
            from,
            to: self.in_force(),
            why,
        }
    }

    fn after(&self, candidate: usize) -> usize {
        (candidate + 1) % self.candidates.len()
    }

    fn name(&self, candidate: usize) -> LoadBalancingStrategy {
        self.candidates[candidate].strategy
    }

    /// The usual wait under the chosen one.
    fn usual_ns(&self) -> u64 {
        median(self.kept.iter().copied())
    }
}

impl Candidate {
    /// Whether its trial is over, the best of the others having that wait.
    fn is_tried(&self, best_ns: u64) -> bool {
        let hopeless = |measure: &Measure| far_above(measure.mean_ns, best_ns, HOPELESS_TIMES);
        let windows = self.trial.len();
        windows == TRIAL || (windows >= HOPELESS_WINDOWS && self.trial.iter().all(hopeless))
    }

    /// Of its last trial.
    fn median_ns(&self) -> u64 {
        median(self.trial.iter().map(|measure| measure.mean_ns))
    }

    /// Its figures in words.
    fn told(&self) -> String {
        format!("{:?} has {}", self.strategy, Figures::of(&self.trial))
    }
}
