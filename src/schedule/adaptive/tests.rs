//! The controller against simulated loads: a true wait for each strategy, and noise.

use proptest::prelude::*;

use super::*;
use crate::schedule::balance::scatter;

const US: u64 = 1_000;
/// Windows of a warm-up without backlogs, for each candidate: one left out, four measured.
const TRIED_IN: usize = 5;

/// What a controller is run against.
struct Load {
    /// The true mean wait by strategy, in the order of `LoadBalancingStrategy::ALL`, in nanoseconds.
    waits: [u64; 4],
    /// Windows scatter evenly by up to so many percent.
    noise: u64,
    seed: u64,
    windows: u64,
}

impl Load {
    fn new(waits_us: [u64; 4], noise: u64, seed: u64) -> Self {
        Self {
            waits: waits_us.map(|wait| wait * US),
            noise,
            seed: seed << 32,
            windows: 0,
        }
    }

    fn window(&mut self, strategy: LoadBalancingStrategy) -> BalanceWindow {
        let index = LoadBalancingStrategy::ALL
            .iter()
            .position(|one| *one == strategy);
        let wait = self.waits[index.unwrap()];
        let span = wait * self.noise / 100;
        self.windows += 1;
        let off = scatter(self.seed + self.windows) % (2 * span + 1);
        let mean = wait - span + off;
        BalanceWindow {
            tasks: 50,
            mean_wait: Duration::from_nanos(mean),
            worst_wait: Duration::from_nanos(mean * 4),
        }
    }

    /// One window; checks what holds for every change.
    fn step(&mut self, controller: &mut AdaptiveLoadController) -> Option<BalanceChange> {
        let before = controller.in_force();
        let window = self.window(before);
        let change = controller.observe(window);
        assert_ne!(controller.in_force(), LoadBalancingStrategy::AdaptiveHybrid);
        match &change {
            None => assert_eq!(controller.in_force(), before, "a silent change"),
            Some(BalanceChange { from, to, why }) => {
                assert_eq!(*to, controller.in_force());
                assert_ne!(from, to);
                assert!(why.contains(|c: char| c.is_ascii_digit()), "{why}");
                assert!(why.contains(&format!("{from:?}")), "{from:?}: {why}");
            }
        }
        change
    }

    fn run(
        &mut self,
        controller: &mut AdaptiveLoadController,
        windows: usize,
    ) -> Vec<BalanceChange> {
        (0..windows).filter_map(|_| self.step(controller)).collect()
    }

    fn best(&self, weighted: bool) -> LoadBalancingStrategy {
        let candidates = LoadBalancingStrategy::ALL.iter().zip(self.waits);
        candidates
            .filter(|(strategy, _)| {
                weighted || **strategy != LoadBalancingStrategy::WeightedRoundRobin
            })
            .min_by_key(|(_, wait)| *wait)
            .map(|(strategy, _)| *strategy)
            .unwrap()
    }
}

fn candidates(weighted: bool) -> usize {
    3 + usize::from(weighted)
}

/// A controller that chose between strategies of these waits and has been at rest for some windows.
fn settled(load: &mut Load, weighted: bool, rest: usize) -> AdaptiveLoadController {
    let mut controller = AdaptiveLoadController::new(weighted);
    load.run(&mut controller, candidates(weighted) * TRIED_IN + rest);
    controller
}

#[test]
fn the_warm_up_tries_each_in_turn_and_says_so() {
    let mut load = Load::new([300, 200, 50, 100], 0, 1);
    let mut controller = AdaptiveLoadController::new(false);
    let changes = load.run(&mut controller, 15);
    let to: Vec<_> = changes.iter().map(|change| change.to).collect();
    assert_eq!(
        to,
        [
            LoadBalancingStrategy::ResponseTimeWeighted,
            LoadBalancingStrategy::RoundRobin,
            LoadBalancingStrategy::ResponseTimeWeighted
        ]
    );
    assert_eq!(
        changes[0].why,
        "LeastConnections has a wait of 200.0µs (at worst 800.0µs, 200 timed tasks in 4 windows), \
         and ResponseTimeWeighted is tried"
    );
    assert!(
        changes[2].why.contains("all were tried"),
        "{}",
        changes[2].why
    );
    let mut weighted = AdaptiveLoadController::new(true);
    load.run(&mut weighted, 20);
    assert_eq!(
        weighted.in_force(),
        LoadBalancingStrategy::WeightedRoundRobin
    );
}

#[test]
fn a_hopeless_candidate_is_left_early() {
    let mut load = Load::new([5_000, 100, 900, 110], 0, 1);
    let mut controller = AdaptiveLoadController::new(false);
    // 5 windows, 5 windows, and one left out with 2 that are hopeless.
    let changes = load.run(&mut controller, 13);
    assert_eq!(changes.len(), 3);
    assert_eq!(
        controller.in_force(),
        LoadBalancingStrategy::LeastConnections
    );
}

#[test]
fn windows_without_tasks_change_nothing() {
    let mut controller = AdaptiveLoadController::new(true);
    let nothing = BalanceWindow {
        tasks: 0,
        mean_wait: Duration::ZERO,
        worst_wait: Duration::ZERO,
    };
    assert!((0..1_000).all(|_| controller.observe(nothing).is_none()));
    assert_eq!(
        controller.in_force(),
        LoadBalancingStrategy::LeastConnections
    );
}

#[test]
fn probes_get_rarer_while_they_find_nothing() {
    let mut load = Load::new([200, 100, 999, 130], 10, 3);
    let mut controller = settled(&mut load, false, 0);
    assert_eq!(
        controller.in_force(),
        LoadBalancingStrategy::LeastConnections
    );
    let mut begun = Vec::new();
    let mut spent = 0;
    for window in 0..10_000 {
        spent += u32::from(controller.in_force() != LoadBalancingStrategy::LeastConnections);
        let change = load.step(&mut controller);
        begun.extend(
            change
                .filter(|change| change.why.contains("again"))
                .map(|_| window),
        );
    }
    let gaps: Vec<_> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // To the gap come the 5 windows of the probe before and the one that is left out after it.
    assert_eq!(gaps[..4], [262, 518, 1_030, 1_030], "{gaps:?}");
    assert!(spent <= 12 * TRIED_IN as u32, "{spent} of 10,000 windows");
}

#[test]
fn a_probe_finds_what_has_become_better() {
    let mut load = Load::new([200, 100, 999, 130], 10, 3);
    let mut controller = settled(&mut load, false, 0);
    load.waits[3] = 50 * US;
    // One window is left out after the warm-up; the first probe is of this one.
    let changes = load.run(&mut controller, 1 + 128 + TRIED_IN);
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(
        controller.in_force(),
        LoadBalancingStrategy::ResponseTimeWeighted
    );
    let last = changes.last().unwrap();
    assert_eq!(last.from, LoadBalancingStrategy::LeastConnections);
    assert!(last.why.contains("clearly less than"), "{}", last.why);
}

#[test]
fn one_long_window_is_no_step() {
    let mut load = Load::new([200, 100, 999, 130], 0, 1);
    let mut controller = settled(&mut load, false, 20);
    for _ in 0..5 {
        load.waits = load.waits.map(|wait| wait * 100);
        assert!(load.run(&mut controller, STEP - 1).is_empty());
        load.waits = load.waits.map(|wait| wait / 100);
        assert!(load.run(&mut controller, 8).is_empty());
    }
}

#[test]
fn a_load_that_comes_and_goes_is_not_answered_by_endless_trials() {
    let mut load = Load::new([200, 100, 999, 130], 5, 1);
    let mut controller = settled(&mut load, false, 20);
    let mut starts = 0;
    for _ in 0..100 {
        for times in [10, 1] {
            let calm = load.waits;
            load.waits = calm.map(|wait| wait * times);
            let changes = load.run(&mut controller, 40);
            starts += changes
                .iter()
                .filter(|change| change.why.contains("rose"))
                .count();
            load.waits = calm;
        }
    }
    // Of 100 steps in 8,000 windows: by doubling gaps up to 512 windows.
    assert!((2..=8_000 / 512 + 6).contains(&starts), "{starts}");
    assert_eq!(
        controller.candidates[controller.chosen].strategy,
        LoadBalancingStrategy::LeastConnections
    );
}

/// True waits of which the lowest, at a random place, is clearly below the others.
fn with_a_best(waits: [u64; 4], best: usize) -> [u64; 4] {
    let mut waits = waits.map(|wait| 1_000 + wait);
    waits[best] = 600;
    waits
}

/// Candidates by their place in `LoadBalancingStrategy::ALL`; place 2 is the weighted one.
fn a_candidate() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0_usize, 1, 3])
}

proptest! {
    // Thousands of windows each.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With noise of 20 %, a strategy that is better by 40 % is in force after the warm-up, and stays,
    /// probes aside.
    #[test]
    fn it_finds_the_best_and_keeps_it(
        waits: [u16; 4], best in 0_usize..4, weighted: bool, seed in 0_u64..1 << 31,
    ) {
        let best = if weighted || best != 2 { best } else { 0 };
        let mut load = Load::new(with_a_best(waits.map(u64::from), best), 20, seed);
        let mut controller = settled(&mut load, weighted, 0);
        let expected = load.best(weighted);
        prop_assert_eq!(controller.in_force(), expected);
        let mut elsewhere = 0;
        for window in 1..3_000_u32 {
            load.step(&mut controller);
            elsewhere += u32::from(controller.in_force() != expected);
            prop_assert!(elsewhere <= 8 + window / 17, "{elsewhere} of {window} windows");
        }
    }

    /// Nothing is chosen anew between equals: never with little noise.
    #[test]
    fn equals_are_left_alone(wait in 1_u64..100_000, weighted: bool, seed in 0_u64..1 << 31) {
        let mut load = Load::new([wait; 4], 7, seed);
        let mut controller = settled(&mut load, weighted, 0);
        let chosen = controller.chosen;
        for _ in 0..3_000 {
            let change = load.step(&mut controller);
            prop_assert_eq!(controller.chosen, chosen, "{:?}", change);
        }
    }

    /// And seldom with much: of some twenty probes next to none is won by chance.
    #[test]
    fn noise_does_not_make_it_oscillate(seed in 0_u64..1 << 31) {
        let mut load = Load::new([1_000; 4], 50, seed);
        let mut controller = settled(&mut load, false, 0);
        let mut changed = 0;
        let mut chosen = controller.chosen;
        for _ in 0..10_000 {
            load.step(&mut controller);
            changed += u32::from(controller.chosen != chosen);
            chosen = controller.chosen;
        }
        prop_assert!(changed <= 5, "{changed} changes");
    }

    /// A step that turns the order around is answered within the stated windows.
    #[test]
    fn it_recovers_from_a_step(
        before in [0..700_u64, 0..700, 0..700, 0..700],
        after in [0..700_u64, 0..700, 0..700, 0..700],
        first in a_candidate(), then in a_candidate(),
        rest in 8_usize..120, seed in 0_u64..1 << 31,
    ) {
        let mut load = Load::new(with_a_best(before, first), 15, seed);
        let mut controller = settled(&mut load, false, rest);
        prop_assert_eq!(controller.in_force(), load.best(false));
        let new = with_a_best(after, then);
        load.waits = new.map(|wait| wait * 4 * US);
        let changes = load.run(&mut controller, STEP + candidates(false) * TRIED_IN);
        prop_assert_eq!(controller.in_force(), load.best(false));
        prop_assert!(changes[0].why.contains("rose"), "{}", changes[0].why);
        // What is usual from now on is known from the new load alone.
        load.run(&mut controller, 3);
        let most = load.waits[then] * 115 / 100;
        prop_assert!(controller.kept.iter().all(|wait| *wait <= most), "{:?}", controller.kept);
    }

    /// Whatever it is shown, it stays among its candidates and tells every change.
    #[test]
    fn nothing_upsets_it(
        windows in prop::collection::vec((0_u64..40, any::<u64>(), any::<u64>()), 1..600),
        weighted: bool,
    ) {
        let mut controller = AdaptiveLoadController::new(weighted);
        for (tasks, mean, worst) in windows {
            let before = controller.in_force();
            let change = controller.observe(BalanceWindow {
                tasks,
                mean_wait: Duration::from_micros(mean),
                worst_wait: Duration::from_nanos(worst),
            });
            prop_assert!(change.is_some() || controller.in_force() == before);
            prop_assert!(
                weighted || controller.in_force() != LoadBalancingStrategy::WeightedRoundRobin
            );
        }
    }
}
