//! The starvation bound under every strategy and with stealing, whatever waits where.

mod common;

use std::collections::{HashMap, HashSet};

use common::script::HOLDING;
use common::{Gate, Job, KeyLog, Kind, Rig, builder, config, drain, for_both_kinds};
use lanepool::{Clock, LaneConfig, ProcessingTask, SchedulingStrategy, WorkerHealthStatus};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

for_both_kinds!(
    whatever_waits_where_every_ring_has_its_turn,
    whatever_the_strategies_every_key_has_its_order,
);

/// The sets that a worker is at home in: shared tasks and runs, and its own.
const SETS: u64 = 4;

#[derive(Clone, Debug)]
struct Load {
    weights: Vec<u32>,
    run_length: usize,
    stealing: bool,
    /// Whether a second worker is stuck, with which tasks are placed too.
    second: bool,
    tasks: Vec<Task>,
}

#[derive(Clone, Copy, Debug)]
struct Task {
    strategy: SchedulingStrategy,
    lane: usize,
    key: Option<u64>,
}

fn load() -> impl Strategy<Value = Load> {
    let task = (
        prop::sample::select(SchedulingStrategy::ALL.to_vec()),
        0_usize..8,
        prop::option::weighted(0.5, 0_u64..40),
    );
    let task = task.prop_map(|(strategy, lane, key)| Task {
        strategy,
        lane,
        key,
    });
    (
        prop::collection::vec(1_u32..10, 1..=5),
        prop_oneof![3 => Just(1_usize), 1 => Just(16)],
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec(task, 100..400),
    )
        .prop_map(|(weights, run_length, stealing, second, tasks)| Load {
            weights,
            run_length,
            stealing,
            second,
            tasks,
        })
}

/// Where a task was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Shared,
    Own,
    /// With the worker that is stuck.
    Foreign,
}

/// A ring of a lane: whose it is, and whether it has turns of keys or tasks.
type RingName = (usize, Place, bool);

/// A worker that waits to be let go, and with a second one that stays at its gate.
struct Stage {
    rig: Rig,
    worker: usize,
    gate: Gate,
    stuck: Option<Gate>,
}

impl Stage {
    fn new(kind: Kind, load: &Load) -> Self {
        let lanes = load
            .weights
            .iter()
            .map(|weight| LaneConfig::new().weight(*weight).capacity(1_024));
        let config = config(if load.second { 2 } else { 1 })
            .enable_task_stealing(load.stealing)
            .max_run_length(load.run_length)
            .lanes(lanes);
        // Standing still, so that every task seems to cost nothing and runs get as long as they may.
        let (clock, _hands) = Clock::manual();
        let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
        let hold = || {
            let gate = Gate::new();
            rig.pool.try_spawn(Job::hold(HOLDING, &gate)).unwrap();
            gate.await_arrivals(1);
            gate
        };
        let gate = hold();
        let workers = rig.pool.statistics().workers;
        let is_busy =
            |worker: &lanepool::WorkerStatistics| worker.status == WorkerHealthStatus::Busy;
        let worker = workers.iter().position(is_busy).unwrap();
        let stuck = load.second.then(hold);
        Self {
            rig,
            worker,
            gate,
            stuck,
        }
    }

    fn depths(&self) -> Vec<u64> {
        let metrics = self.rig.pool.load_balancer().metrics();
        metrics.iter().map(|worker| worker.queue_depth).collect()
    }

    /// Hands a task over and finds out where it was put.
    fn put(&self, id: u64, task: Task, lanes: usize) -> RingName {
        let scheduler = self.rig.pool.scheduler();
        scheduler.set_strategy(task.strategy);
        let (before, keyed) = (self.depths(), scheduler.statistics().keyed);
        let lane = task.lane % lanes;
        let request = ProcessingTask::new(Job::echo(id)).lane(lane);
        let request = match task.key {
            Some(key) => request.key(key),
            None => request,
        };
        self.rig.pool.try_spawn(request).unwrap();
        let after = self.depths();
        let is_keyed = scheduler.statistics().keyed > keyed;
        let grown = (0..after.len()).find(|worker| after[*worker] > before[*worker]);
        let place = match grown {
            Some(worker) if worker == self.worker => Place::Own,
            Some(_) => Place::Foreign,
            None => Place::Shared,
        };
        (lane, place, is_keyed)
    }
}

/// `B(L)` for each lane, from the pool's own bound, which is for one worker and runs of this length.
fn bounds(kind: Kind, load: &Load) -> Vec<u64> {
    let lane = |weight: &u32| LaneConfig::new().weight(*weight);
    let weights = &load.weights;
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let gap = |weight: u32| total.div_ceil(u64::from(weight));
    let rig = Rig::new(kind, config(1).lanes(weights.iter().map(lane)));
    let top = rig.pool.starvation_bound(lanepool::TaskPriority::Critical);
    drain(&rig.pool);
    let lower = weights.len() - 1;
    let below = weights[..lower]
        .iter()
        .map(|weight| gap(*weight) + lower as u64 - 1);
    below.chain([top]).collect()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    })
}

fn whatever_waits_where_every_ring_has_its_turn(kind: Kind) {
    let outcome = runner(100).run(&load(), |load| {
        let lanes = load.weights.len();
        let bounds = bounds(kind, &load);
        let stage = Stage::new(kind, &load);
        let mut rings: HashMap<u64, RingName> = HashMap::new();
        // One task of each key: a turn in a ring then is a task, and of its lane.
        let mut keys = HashSet::new();
        let mut only_first = load.tasks.clone();
        only_first.retain(|task| task.key.is_none_or(|key| keys.insert(key)));
        for (id, task) in (0..).zip(&only_first) {
            rings.insert(id, stage.put(id, *task, lanes));
        }
        stage.gate.open();
        let is_at_home = |ring: &RingName| matches!(ring.1, Place::Shared | Place::Own);
        let at_home = rings.values().filter(|ring| is_at_home(ring)).count();
        let waits_for = if load.stealing || !load.second {
            rings.len()
        } else {
            at_home
        };
        let others = 1 + usize::from(load.second);
        while stage.rig.started().len() < waits_for + others {
            std::thread::yield_now();
        }
        let mut started = stage.rig.started();
        started.retain(|id| *id != HOLDING);
        let mut since: HashMap<RingName, u64> = HashMap::new();
        for (pull, id) in (1..).zip(&started) {
            let ring = rings[id];
            if !is_at_home(&ring) {
                prop_assert!(
                    pull as usize > at_home,
                    "stolen before all at home was done"
                );
                continue;
            }
            let waited = pull - since.insert(ring, pull).unwrap_or(0);
            let bound = SETS * load.run_length as u64 * bounds[ring.0];
            prop_assert!(
                waited <= bound,
                "{ring:?} waited {waited} pulls, {bound} is the bound"
            );
        }
        if let Some(stuck) = &stage.stuck {
            stuck.open();
        }
        let total = drain(&stage.rig.pool).total();
        prop_assert_eq!(total.completed as usize, rings.len() + others);
        Ok(())
    });
    outcome.unwrap();
}

fn whatever_the_strategies_every_key_has_its_order(kind: Kind) {
    let outcome = runner(60).run(&load(), |load| {
        let lanes = load.weights.len();
        let stage = Stage::new(kind, &load);
        let log = KeyLog::new();
        let scheduler = stage.rig.pool.scheduler();
        scheduler.set_strategy(SchedulingStrategy::HashBased);
        for (n, task) in (0..).zip(&load.tasks) {
            scheduler.set_strategy(task.strategy);
            let lane = task.lane % lanes;
            let request = match task.key {
                Some(key) => log.task(key, n),
                None => ProcessingTask::new(Job::echo(n)),
            };
            stage.rig.pool.try_spawn(request.lane(lane)).unwrap();
            if n == load.tasks.len() as u64 / 2 {
                stage.gate.open();
            }
        }
        stage.gate.open();
        if let Some(stuck) = &stage.stuck {
            stuck.open();
        }
        let total = drain(&stage.rig.pool).total();
        let others = 1 + u64::from(load.second);
        prop_assert_eq!(total.completed, load.tasks.len() as u64 + others);
        let keyed = load.tasks.iter().filter(|task| task.key.is_some()).count();
        prop_assert_eq!(log.started(), keyed);
        log.assert_orderly();
        prop_assert_eq!(scheduler.statistics().live_keys, 0);
        Ok(())
    });
    outcome.unwrap();
}
