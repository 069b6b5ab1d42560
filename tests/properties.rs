//! The conservation law and the shares, under whatever mix of operations chance comes up with.

mod common;
#[path = "properties/scenario.rs"]
mod scenario;

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use common::script::HOLDING;
use common::{
    Act, Done, Failure, Gate, Job, Kind, LONG, Rig, Tally, assert_at_rest, block_on, builder,
    config, for_both_kinds, poll_once,
};
use lanepool::{
    Clock, ExecuteError, LaneConfig, ManualClock, OverflowPolicy, ProcessingError, ProcessingTask,
    SubmitError, Ticket,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use scenario::{End, Fate, Operation, Scenario, Way, scenario};

const SECOND: Duration = Duration::from_secs(1);

for_both_kinds!(
    whatever_happens_every_task_has_one_outcome,
    whatever_the_weights_every_lane_has_its_turn,
);

type Pending = Pin<Box<dyn Future<Output = Result<Ticket<Done, Failure>, SubmitError<Job>>>>>;

/// A pool on which a scenario is played, and what its callers know.
struct Stage {
    rig: Rig,
    clock: Clock,
    hands: ManualClock,
    held: Option<Gate>,
    tickets: Vec<Ticket<Done, Failure>>,
    pending: Vec<Pending>,
    next_id: u64,
    told: Tally,
    /// Tasks that were accepted and that nobody waits for.
    unwatched: u64,
    refused: u64,
    refused_ids: HashSet<u64>,
}

impl Stage {
    fn new(kind: Kind, scenario: &Scenario) -> Self {
        let lanes = scenario.lanes.iter().map(|(capacity, rejects)| {
            let overflow = if *rejects {
                OverflowPolicy::Reject
            } else {
                OverflowPolicy::Wait
            };
            LaneConfig::new().capacity(*capacity).overflow(overflow)
        });
        let (clock, hands) = Clock::manual();
        let config = config(scenario.workers)
            .max_run_length(scenario.run_length)
            .lanes(lanes);
        let rig = Rig::build(kind, builder(config).clock(clock.clone())).unwrap();
        Self {
            rig,
            clock,
            hands,
            held: None,
            tickets: Vec::new(),
            pending: Vec::new(),
            next_id: 0,
            told: Tally::default(),
            unwatched: 0,
            refused: 0,
            refused_ids: HashSet::new(),
        }
    }

    fn job(&mut self, act: u8) -> Job {
        let act = [Act::Echo, Act::Fail, Act::Panic, Act::Yield]
            .into_iter()
            .nth(act.into());
        self.next_id += 1;
        Job::new(self.next_id, act.expect("there are four"))
    }

    fn refuse(&mut self, refused: SubmitError<Job>) {
        // A lane that does not exist counts nothing.
        self.refused += u64::from(!matches!(refused, SubmitError::NoSuchLane { .. }));
        self.refused_ids.insert(refused.into_request().id);
    }

    fn accept(&mut self, mut ticket: Ticket<Done, Failure>, fate: Fate) {
        match fate {
            Fate::Wait => return self.tickets.push(ticket),
            Fate::Drop => {}
            Fate::PollAndDrop => match poll_once(Pin::new(&mut ticket)) {
                Poll::Ready(answer) => return self.told.note(&answer),
                Poll::Pending => {}
            },
            Fate::Detach => ticket.detach(),
        }
        self.unwatched += 1;
    }

    fn play(&mut self, operation: Operation) {
        match operation {
            Operation::Hold(true) if self.held.is_none() => {
                // Not `hold_all`: the gate's tasks must get into lanes that may be full.
                let gate = Gate::new();
                let tasks = (0..self.rig.pool.workers()).map(|_| Job::hold(HOLDING, &gate));
                for job in tasks {
                    match self.rig.pool.try_spawn(job) {
                        Ok(()) => self.unwatched += 1,
                        Err(refused) => self.refused += u64::from(refused.into_request().id > 0),
                    }
                }
                self.held = Some(gate);
            }
            Operation::Hold(false) => self.release(),
            Operation::Hold(true) => {}
            Operation::Advance(seconds) => self.hands.advance(SECOND * seconds as u32),
            Operation::Batch(length) => {
                // A future that has been given notice of room and is not polled keeps others waiting.
                self.release();
                self.await_pending();
                let jobs: Vec<_> = (0..length).map(|n| self.job(n % 4)).collect();
                for result in self.rig.pool.execute_batch_blocking(jobs) {
                    match result {
                        Ok(done) => self.told.note(&Ok::<_, ProcessingError<Failure>>(done)),
                        Err(ExecuteError::Refused(refused)) => self.refuse(refused),
                        Err(ExecuteError::Processing(error)) => {
                            self.told.note(&Err::<Done, _>(error))
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            Operation::Task {
                way,
                act,
                lane,
                deadline,
                fate,
            } => {
                let job = self.job(act);
                let task = ProcessingTask::new(job).lane(lane);
                let task = match deadline {
                    Some(seconds) => task.deadline(self.clock.now() + SECOND * seconds as u32),
                    None => task,
                };
                self.hand_in(way, task, fate);
            }
        }
    }

    fn hand_in(&mut self, way: Way, task: ProcessingTask<Job>, fate: Fate) {
        let pool = self.rig.pool.clone();
        match way {
            Way::TrySpawn => match pool.try_spawn(task) {
                Ok(()) => self.unwatched += 1,
                Err(refused) => self.refuse(refused),
            },
            Way::TrySubmit => match pool.try_submit(task) {
                Ok(ticket) => self.accept(ticket, fate),
                Err(refused) => self.refuse(refused),
            },
            Way::Submit | Way::SubmitOrGiveUp => {
                let mut future: Pending = Box::pin(async move { pool.submit(task).await });
                match (poll_once(future.as_mut()), way) {
                    (Poll::Ready(Ok(ticket)), _) => self.accept(ticket, fate),
                    (Poll::Ready(Err(refused)), _) => self.refuse(refused),
                    (Poll::Pending, Way::Submit) => self.pending.push(future),
                    (Poll::Pending, _) => {}
                }
            }
        }
    }

    fn release(&mut self) {
        if let Some(gate) = self.held.take() {
            gate.open();
        }
    }

    fn end(mut self, end: End) {
        match end {
            End::Drain => {
                self.release();
                self.await_pending();
            }
            End::AtOnce => self.abandon(),
            End::Twice => {
                self.abandon();
                self.abandon();
            }
            // Pending futures have handles, so the pool lives as long as they do.
            End::Drop => {
                self.release();
                self.pending.clear();
                return self.drop_pool();
            }
        }
        self.release();
        let report = self.rig.pool.shutdown_blocking(LONG);
        assert!(report.drained);
        self.await_pending();
        for ticket in std::mem::take(&mut self.tickets) {
            self.told.note(&ticket.wait());
        }
        self.check();
    }

    fn await_pending(&mut self) {
        for future in std::mem::take(&mut self.pending) {
            match block_on(future) {
                Ok(ticket) => self.told.note(&ticket.wait()),
                Err(refused) => self.refuse(refused),
            }
        }
    }

    fn abandon(&mut self) {
        let report = self.rig.pool.shutdown_blocking(Duration::ZERO);
        let started: HashSet<_> = self.rig.started().into_iter().collect();
        for back in report.returned {
            assert!(back.request.id == HOLDING || !started.contains(&back.request.id));
        }
    }

    fn drop_pool(self) {
        let Stage { rig, tickets, .. } = self;
        drop(rig);
        for ticket in tickets {
            let mut told = Tally::default();
            told.note(&ticket.wait());
            assert_eq!(told.cancelled, 0);
        }
    }

    fn check(&self) {
        let statistics = self.rig.pool.statistics();
        assert_at_rest(&statistics);
        let counted = Tally::of(&statistics.total());
        let told = self.told;
        let pairs = [
            (counted.completed, told.completed),
            (counted.failed, told.failed),
            (counted.panicked, told.panicked),
            (counted.expired, told.expired),
            (counted.cancelled, told.cancelled),
            (counted.abandoned, told.abandoned),
        ];
        assert!(
            pairs.iter().all(|(counted, told)| counted >= told),
            "{counted:?} {told:?}"
        );
        let unwatched: u64 = pairs.iter().map(|(counted, told)| counted - told).sum();
        assert_eq!(unwatched, self.unwatched, "{counted:?} {told:?}");
        assert_eq!(statistics.total().refused, self.refused);
        let mut started = self.rig.started();
        started.retain(|id| *id != HOLDING);
        let once: HashSet<_> = started.iter().collect();
        assert_eq!(once.len(), started.len(), "nothing is run twice");
        assert!(
            started.iter().all(|id| !self.refused_ids.contains(id)),
            "nor what was refused"
        );
    }
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })
}

fn whatever_happens_every_task_has_one_outcome(kind: Kind) {
    let outcome = runner(400).run(&scenario(), |scenario| {
        let mut stage = Stage::new(kind, &scenario);
        for operation in &scenario.operations {
            stage.play(*operation);
        }
        stage.end(scenario.end);
        Ok(())
    });
    outcome.unwrap();
}

/// The bound of the documentation, for one worker and runs of one task.
fn bound(weights: &[u32], lane: usize) -> u64 {
    let lanes = weights.len() as u64;
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let gap = |weight: u32| total.div_ceil(u64::from(weight));
    if lanes == 1 {
        return 1;
    }
    if lane + 1 < weights.len() {
        return gap(weights[lane]) + lanes - 2;
    }
    let below = &weights[..weights.len() - 1];
    let taken = |k: u64| {
        below
            .iter()
            .map(|weight| k.div_ceil(gap(*weight)))
            .sum::<u64>()
    };
    (1..)
        .find(|k| *k > taken(*k))
        .expect("the lower shares add up to less than 1")
}

fn whatever_the_weights_every_lane_has_its_turn(kind: Kind) {
    let weights = prop::collection::vec(1_u32..100, 1..=8);
    let outcome = runner(60).run(&(weights, 1_usize..100), |(weights, each)| {
        let lanes = weights
            .iter()
            .map(|weight| LaneConfig::new().capacity(each).weight(*weight));
        let rig = Rig::new(kind, config(1).lanes(lanes));
        let gate = rig.hold_all();
        for n in 0..each * weights.len() {
            let lane = n % weights.len();
            rig.pool
                .try_spawn(ProcessingTask::new(Job::echo(lane as u64)).lane(lane))
                .unwrap();
        }
        gate.open();
        let total = common::drain(&rig.pool).total();
        assert_eq!(total.completed as usize, each * weights.len() + 1);
        let mut since = vec![0; weights.len()];
        let served = rig.started().into_iter().filter(|id| *id != HOLDING);
        for (pull, lane) in (1..).zip(served) {
            let (lane, bound) = (lane as usize, bound(&weights, lane as usize));
            let waited = pull - since[lane];
            prop_assert!(
                waited <= bound,
                "lane {lane} waited {waited} pulls, {bound} is the bound"
            );
            since[lane] = pull;
        }
        Ok(())
    });
    outcome.unwrap();
}
