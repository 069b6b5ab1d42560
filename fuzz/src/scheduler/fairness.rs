//! Whose turn it may be: the rule that the pool publishes, as checks on the order of the takes, where it is not
//! known which worker takes what.
//!
//! A *take* is a task leaving its lane for a worker, to be run or to be dropped unstarted. The pulls
//! of the pool that serve nothing are not seen here, and need not be:
//!
//! - **Bound.** While a task is at the head of its lane, at most `W * r * B(lane)` takes pass, its
//!   own included.
//! - **Rank.** A task that is taken although a higher lane holds something is one of a lane that was
//!   passed over for its gap: with one worker, since its lane was last served, or since the worker was
//!   last idle, at least `ceil(S / w)` takes have passed. After an idle spell the worker's memory is
//!   not known, and the first take of each lane is free.

use lanepool::WorkerPoolConfig;

#[derive(Debug)]
pub(crate) struct Fairness {
    gaps: Vec<u64>,
    bounds: Vec<u64>,
    /// How many takes of other workers may be told before one that came first.
    slack: u64,
    /// Whether there is one worker, whose order is known exactly.
    ranked: bool,
    takes: u64,
    /// For each lane the take at which it was served, if that is known.
    served: Vec<Option<u64>>,
    /// For each lane the take after which its present head became its head.
    head_since: Vec<u64>,
}

impl Fairness {
    /// For so many workers that claim at most `longest_run` tasks at once.
    pub(crate) fn new(
        config: &WorkerPoolConfig,
        workers: usize,
        longest_run: usize,
        slack: u64,
    ) -> Self {
        let gaps = gaps(config);
        let factor = (workers * longest_run) as u64;
        let bounds = (0..gaps.len())
            .map(|lane| factor * worker_bound(&gaps, lane))
            .collect();
        Self {
            slack,
            ranked: workers == 1,
            takes: 0,
            served: vec![Some(0); gaps.len()],
            head_since: vec![0; gaps.len()],
            gaps,
            bounds,
        }
    }

    /// How many takes a head may see: what the pool publishes.
    pub(crate) fn bound(&self, lane: usize) -> u64 {
        self.bounds[lane]
    }

    /// A task came into an empty lane.
    pub(crate) fn new_head(&mut self, lane: usize) {
        self.head_since[lane] = self.takes;
    }

    /// The workers have run out of tasks.
    pub(crate) fn idle(&mut self) {
        self.served.fill(None);
    }

    /// A task of this lane is taken; `waiting` says which lanes held something before, its own
    /// included.
    pub(crate) fn take(&mut self, lane: usize, waiting: &[bool]) {
        self.takes += 1;
        for (other, waits) in waiting.iter().enumerate() {
            let late = self.takes - self.head_since[other];
            let limit = self.bounds[other] + self.slack - u64::from(other != lane);
            assert!(
                !waits || late <= limit,
                "the head of lane {other} has seen {late} takes, its bound is {}",
                self.bounds[other]
            );
        }
        let overtaken = waiting[lane + 1..].contains(&true);
        if self.ranked
            && overtaken
            && let Some(last) = self.served[lane]
        {
            assert!(
                self.takes - last >= self.gaps[lane],
                "lane {lane} went before a higher one {} takes after its last, its gap is {}",
                self.takes - last,
                self.gaps[lane]
            );
        }
        self.served[lane] = Some(self.takes);
        self.head_since[lane] = self.takes;
    }
}

/// For each lane the pulls after which it goes first.
pub(crate) fn gaps(config: &WorkerPoolConfig) -> Vec<u64> {
    let weights = config.lanes.iter().map(|lane| u64::from(lane.weight));
    let total: u64 = weights.clone().sum();
    weights.map(|weight| total.div_ceil(weight)).collect()
}

/// The published formula for one worker that claims single tasks.
pub(crate) fn worker_bound(gaps: &[u64], lane: usize) -> u64 {
    let lanes = gaps.len() as u64;
    let (_, lower) = gaps.split_last().expect("a pool has a lane");
    if lower.is_empty() {
        return 1;
    }
    if let Some(gap) = lower.get(lane) {
        return gap + lanes - 2;
    }
    (1..)
        .find(|k: &u64| *k > lower.iter().map(|gap| k.div_ceil(*gap)).sum())
        .expect("the lower lanes' shares add up to less than all")
}
