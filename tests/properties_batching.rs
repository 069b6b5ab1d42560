//! What chance can come up with: a configuration of batches, requests on a clock that is turned by hand, and an end.
//! Whatever it is, batches hold what they may, nobody waits longer than allowed, and everybody gets their own answer.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::clerk::{Ask, Office, Told, Trap, Trouble, Wish};
use common::{Kind, LONG, assert_at_rest, builder, config, for_both_kinds, lanes};
use lanepool::{
    BatchProcessorConfig, CloseReason, OverflowPolicy, ProcessingError, ProcessingTask,
    SchedulingStrategy, TaskPriority, Ticket,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

for_both_kinds!(whatever_comes_forms_batches_in_time);

#[derive(Clone, Debug)]
struct Scenario {
    workers: usize,
    stealing: bool,
    strategy: SchedulingStrategy,
    batching: BatchProcessorConfig,
    operations: Vec<Operation>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Ask {
        lane: usize,
        key: Option<u64>,
        /// Milliseconds from now.
        deadline: Option<u64>,
        wish: u8,
    },
    /// Drops one of the tickets.
    Leave(usize),
    /// Milliseconds.
    Advance(u64),
    Pause(usize),
    Resume(usize),
    Switch(SchedulingStrategy),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Drain,
    AtOnce,
    Drop,
}

fn batching() -> impl Strategy<Value = BatchProcessorConfig> {
    let urgent = prop::option::of(prop::sample::select(TaskPriority::ALL.to_vec()));
    let times = (0_u64..40, 1_u64..60);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (1_usize..9, times, flags, urgent).prop_map(
        |(size, (timeout, more), (adaptive, idle, keyed), urgent)| {
            BatchProcessorConfig::new()
                .batch_size(size)
                .batch_timeout(Duration::from_millis(timeout))
                .max_batch_wait(Duration::from_millis(timeout + more))
                .enable_adaptive_batching(adaptive)
                .close_when_idle(idle)
                .keyed(keyed)
                .urgent(urgent)
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let ask = (
        0_usize..4,
        prop::option::weighted(0.6, 0_u64..4),
        prop::option::weighted(0.2, 1_u64..80),
        any::<u8>(),
    );
    let strategies = prop::sample::select(SchedulingStrategy::ALL.to_vec());
    prop_oneof![
        12 => ask.prop_map(|(lane, key, deadline, wish)| Operation::Ask { lane, key, deadline, wish }),
        2 => (0_usize..9).prop_map(Operation::Leave),
        4 => (1_u64..50).prop_map(Operation::Advance),
        1 => (0_usize..4).prop_map(Operation::Pause),
        2 => (0_usize..4).prop_map(Operation::Resume),
        1 => strategies.prop_map(Operation::Switch),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let operations = prop::collection::vec(operation(), 0..60);
    let strategy = prop::sample::select(SchedulingStrategy::ALL.to_vec());
    let end = prop_oneof![2 => Just(End::Drain), 1 => Just(End::AtOnce), 1 => Just(End::Drop)];
    (
        1_usize..4,
        any::<bool>(),
        strategy,
        batching(),
        operations,
        end,
    )
        .prop_map(
            |(workers, stealing, strategy, batching, operations, end)| Scenario {
                workers,
                stealing,
                strategy,
                batching,
                operations,
                end,
            },
        )
}

/// A request that nobody has left.
struct Open {
    id: u64,
    /// In milliseconds, as the deadline.
    accepted: u64,
    deadline: Option<u64>,
    ticket: Ticket<Told, Trouble>,
}

struct Play {
    office: Office,
    batching: BatchProcessorConfig,
    now: u64,
    next: u64,
    paused: BTreeSet<usize>,
    open: Vec<Open>,
    told: Vec<Told>,
    /// Requests that expired before their deadline.
    gave_way: u64,
}

impl Play {
    fn new(kind: Kind, scenario: &Scenario) -> Self {
        let config = config(scenario.workers)
            .batching(scenario.batching.clone())
            .scheduling_strategy(scenario.strategy)
            .enable_task_stealing(scenario.stealing)
            .lanes(lanes(128, OverflowPolicy::Reject));
        Self {
            office: Office::build(kind, builder(config), u64::MAX).unwrap(),
            batching: scenario.batching.clone(),
            now: 0,
            next: 0,
            paused: BTreeSet::new(),
            open: Vec::new(),
            told: Vec::new(),
            gave_way: 0,
        }
    }

    fn operate(&mut self, operation: Operation) {
        let scheduler = self.office.pool.scheduler();
        match operation {
            Operation::Ask {
                lane,
                key,
                deadline,
                wish,
            } => self.ask(lane, key, deadline, wish),
            Operation::Leave(which) if which < self.open.len() => drop(self.open.remove(which)),
            Operation::Leave(_) => {}
            Operation::Advance(by) => {
                self.now += by;
                self.office.hands.advance(Duration::from_millis(by));
            }
            Operation::Pause(lane) => {
                scheduler.pause(TaskPriority::ALL[lane]);
                self.paused.insert(lane);
            }
            Operation::Resume(lane) => {
                scheduler.resume(TaskPriority::ALL[lane]);
                self.paused.remove(&lane);
            }
            Operation::Switch(strategy) => {
                scheduler.set_strategy(strategy);
            }
        }
        self.await_what_is_due();
    }

    fn ask(&mut self, lane: usize, key: Option<u64>, deadline: Option<u64>, wish: u8) {
        let id = self.next;
        self.next += 1;
        let wish = match wish {
            0..4 => Wish::PanicAll,
            4..8 => Wish::FailAll(Trap::Nothing),
            8..12 => Wish::Answers(100),
            12..30 => Wish::Fail,
            30..50 => Wish::Panic,
            _ => Wish::Echo,
        };
        let mut task = ProcessingTask::new(Ask { id, wish })
            .message_id(id)
            .lane(lane);
        if let Some(key) = key {
            task = task.key(key);
        }
        if let Some(by) = deadline {
            task = task.deadline(self.office.clock.now() + Duration::from_millis(by));
        }
        if let Ok(ticket) = self.office.pool.try_submit(task) {
            self.open.push(Open {
                id,
                accepted: self.now,
                deadline: deadline.map(|by| self.now + by),
                ticket,
            });
        }
    }

    /// No batch takes any time here, so nobody waits longer than batches may, unless their lane is paused or
    /// they wait behind such a request of their key.
    fn await_what_is_due(&mut self) {
        if !self.paused.is_empty() {
            return;
        }
        let most = self.batching.max_batch_wait.as_millis() as u64;
        let (due, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| open.accepted + most <= self.now);
        self.open = open;
        self.settle(due);
    }

    fn settle(&mut self, open: Vec<Open>) {
        for open in open {
            let answer = open.ticket.wait();
            match answer {
                Ok(told) => {
                    assert_eq!(told.id, open.id);
                    assert_eq!(told.context.message_id(), Some(open.id));
                    self.told.push(told);
                }
                Err(ProcessingError::Expired) => {
                    let deadline = open.deadline.expect("only deadlines pass");
                    // A batch takes time if the clock is turned while it runs.
                    self.gave_way += u64::from(deadline > self.now);
                }
                Err(ProcessingError::Unanswered { asked, answered }) => {
                    assert!(asked <= self.batching.batch_size && answered == 100);
                }
                Err(ProcessingError::Failed(_) | ProcessingError::Panicked(_)) => {}
                Err(other) => panic!("{}: {other:?}", open.id),
            }
        }
    }

    /// Batches are of one key where they are to be, and not too large; what the statistics say adds up.
    fn assert_batches(&self) {
        let mut batches: BTreeMap<u64, (usize, BTreeSet<Option<u64>>)> = BTreeMap::new();
        for told in &self.told {
            assert!((1..=self.batching.batch_size).contains(&told.size));
            let (members, keys) = batches.entry(told.batch).or_default();
            *members += 1;
            keys.insert(told.context.key());
            assert!(*members <= told.size);
            assert!(
                !self.batching.keyed || keys.len() == 1,
                "{keys:?} in one batch"
            );
        }
        let statistics = self.office.pool.batch_processor().unwrap().statistics();
        let closed = CloseReason::ALL.map(|reason| statistics.closed(reason));
        assert_eq!(closed.iter().sum::<u64>(), statistics.batches());
        assert!(statistics.requests >= statistics.batches());
        assert!(statistics.requests <= statistics.wanted);
        assert_eq!(statistics.lingering, 0);
        assert!(self.gave_way <= statistics.gave_way);
        assert!(self.batching.enable_adaptive_batching || statistics.gave_way == 0);
    }

    fn finish(mut self, end: End) {
        match end {
            End::Drain => {
                let report = self.office.pool.shutdown_blocking(LONG);
                assert!(report.drained);
                let open = std::mem::take(&mut self.open);
                self.settle(open);
            }
            End::AtOnce => {
                self.office.pool.shutdown_blocking(Duration::ZERO);
                self.office.pool.shutdown_blocking(LONG);
                // Abandoned or not, as the workers were quicker or the shutdown.
                self.open
                    .drain(..)
                    .for_each(|open| drop(open.ticket.wait()));
            }
            End::Drop => {
                let open = std::mem::take(&mut self.open);
                drop(self);
                open.into_iter().for_each(|open| drop(open.ticket.wait()));
                return;
            }
        }
        let statistics = self.office.pool.statistics();
        assert_at_rest(&statistics);
        assert_eq!(self.office.pool.scheduler().statistics().live_keys, 0);
        self.assert_batches();
    }
}

fn whatever_comes_forms_batches_in_time(kind: Kind) {
    let cases = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let run = |scenario: Scenario| {
        let mut play = Play::new(kind, &scenario);
        for operation in &scenario.operations {
            play.operate(*operation);
        }
        play.finish(scenario.end);
        Ok(())
    };
    TestRunner::new(cases).run(&scenario(), run).unwrap();
}
