//! The way of one task through a worker: begun, answered, counted, whatever the service does.

use std::sync::Arc;
use std::time::Duration;

use super::hand::{Drawn, Hand};
use super::puller::Puller;
use crate::engine::Engine;
use crate::error::ProcessingError;
use crate::events::PoolEvent;
use crate::reply::Delivery;
use crate::stats::WorkerBlock;
use crate::task::{Answer, Outcome, TaskContext};

/// One worker's working life. Dropped, it settles what the worker still held and signs it off.
pub(crate) struct Shift<Q, R, E> {
    pub(super) engine: Arc<Engine<Q, R, E>>,
    pub(super) worker: usize,
    block: Arc<WorkerBlock>,
    puller: Puller,
    hand: Hand<Q, R, E>,
    current: Option<Current>,
    /// When the worker ran out of tasks, on the pool's clock; 0 while it has some.
    idle_since_ns: u64,
    /// Whether this idle spell was longer than a spin.
    idle_for_long: bool,
    /// Why the worker ends, if it was not the pool's wish.
    pub(super) reason: Option<String>,
}

/// The task in the service's hands.
#[derive(Clone, Copy)]
struct Current {
    drawn: Drawn,
    /// When it was started; 0 if it is not timed.
    start_ns: u64,
}

impl<Q, R, E> Shift<Q, R, E> {
    pub(crate) fn new(engine: Arc<Engine<Q, R, E>>, worker: usize, longest_run: usize) -> Self {
        let block = Arc::clone(&engine.blocks[worker]);
        block.record_start(engine.clock.now_ns());
        Self {
            puller: Puller::new(&engine.config.weights(), longest_run),
            engine,
            worker,
            block,
            hand: Hand::new(),
            current: None,
            idle_since_ns: 0,
            idle_for_long: false,
            reason: None,
        }
    }

    /// Draws the next task; `None` when no lane has one to give.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Drawn> {
        self.puller.next(&self.engine, &self.block, &mut self.hand)
    }

    /// Whether everything that was ever accepted is taken and nothing more can come.
    pub(super) fn is_over(&self) -> bool {
        self.engine.lanes.is_exhausted()
    }

    /// Whether runs are as long as they may be.
    pub(super) fn runs_are_longest(&self) -> bool {
        self.puller.runs_are_longest()
    }

    /// Starts a task: gives out its request, or settles it if it must not be started.
    #[inline]
    pub(super) fn begin(&mut self, drawn: Drawn) -> Option<Q> {
        let papers = self.hand.papers(drawn);
        if !papers.promise.is_wanted() {
            self.settle_unstarted(drawn, Outcome::Cancelled);
            return None;
        }
        if papers.context.expired(|| self.engine.clock.now()) {
            self.settle_unstarted(drawn, Outcome::Expired);
            return None;
        }
        self.block.start_task(drawn.lane, &papers.context);
        let start_ns = if papers.stamp_ns != 0 || self.idle_for_long {
            let stamp_ns = papers.stamp_ns;
            self.clock_in(drawn.lane, stamp_ns)
        } else {
            self.idle_since_ns = 0;
            0
        };
        self.current = Some(Current { drawn, start_ns });
        self.hand.request(drawn)
    }

    /// The context of a task that was begun.
    #[inline]
    pub(super) fn context(&self, drawn: Drawn) -> &TaskContext {
        &self.hand.papers(drawn).context
    }

    /// Times the start of a task of the sample, and the end of an idle spell. Returns the start, or 0
    /// for a task that is not of the sample.
    #[cold]
    fn clock_in(&mut self, lane: usize, stamp_ns: u64) -> u64 {
        let now_ns = self.engine.clock.now_ns();
        let idle_since_ns = std::mem::take(&mut self.idle_since_ns);
        if std::mem::take(&mut self.idle_for_long) {
            self.block.record_idle(now_ns.saturating_sub(idle_since_ns));
        }
        if stamp_ns == 0 {
            return 0;
        }
        let wait_ns = now_ns.saturating_sub(stamp_ns);
        self.block.record_wait(lane, wait_ns);
        if idle_since_ns != 0 && idle_since_ns <= stamp_ns {
            self.block.dispatch.record(wait_ns);
        } else if idle_since_ns != 0 {
            self.block
                .record_idle_backlogged(now_ns.saturating_sub(idle_since_ns));
        }
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| monitor.on_dequeued(lane, Duration::from_nanos(wait_ns)));
        }
        now_ns
    }

    /// The service has answered the task in hand.
    #[inline]
    pub(super) fn finish(&mut self, result: Result<R, E>) {
        match result {
            Ok(response) => self.settle(Outcome::Completed, Ok(response)),
            Err(error) => self.settle(Outcome::Failed, Err(ProcessingError::Failed(error))),
        }
    }

    /// The worker caught a panic: of the service, if there is a task in hand.
    pub(super) fn panicked(&mut self, message: &str) {
        self.block.record_panic();
        let (worker, message) = (self.worker, message.to_owned());
        self.engine.events.emit(PoolEvent::WorkerPanicked {
            worker,
            message: message.clone(),
        });
        self.settle(Outcome::Panicked, Err(ProcessingError::Panicked(message)));
    }

    /// Answers and counts the task in hand, if there is one.
    #[inline]
    fn settle(&mut self, outcome: Outcome, answer: Answer<R, E>) {
        let Some(Current { drawn, start_ns }) = self.current.take() else {
            return;
        };
        let lane = drawn.lane;
        self.block.end_task();
        if start_ns != 0 {
            self.clock_out(lane, start_ns, outcome);
        }
        // Counted before it is answered: who has an answer finds it in the statistics.
        self.block.settle(lane, outcome);
        let promise = self.hand.promise(drawn);
        if promise.complete(answer) == Delivery::TooLate {
            self.block.recount(lane, outcome, Outcome::Abandoned);
        }
    }

    #[cold]
    fn clock_out(&mut self, lane: usize, start_ns: u64, outcome: Outcome) {
        let run_ns = self.engine.clock.now_ns().saturating_sub(start_ns);
        self.block.record_run(lane, run_ns);
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| {
                monitor.on_finished(lane, Duration::from_nanos(run_ns), outcome);
            });
        }
    }

    /// Answers and counts a task that is not started.
    #[cold]
    fn settle_unstarted(&mut self, drawn: Drawn, outcome: Outcome) {
        let lane = drawn.lane;
        self.block.settle(lane, outcome);
        let promise = self.hand.promise(drawn);
        if outcome == Outcome::Expired {
            let _: Delivery = promise.complete(Err(ProcessingError::Expired));
        } else {
            drop(promise);
        }
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| monitor.on_finished(lane, Duration::ZERO, outcome));
        }
        drop(self.hand.request(drawn));
    }

    /// The worker has run out of tasks.
    pub(super) fn went_idle(&mut self) {
        if self.idle_since_ns == 0 {
            self.idle_since_ns = self.engine.clock.now_ns();
        }
    }

    /// The idle spell is longer than a spin, and worth its clock readings.
    pub(super) fn stays_idle(&mut self) {
        self.idle_for_long = true;
    }
}

impl<Q, R, E> Drop for Shift<Q, R, E> {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned, Err(ProcessingError::Abandoned));
        while !self.hand.is_empty() {
            let drawn = self.hand.draw();
            self.settle_unstarted(drawn, Outcome::Abandoned);
        }
        self.engine.worker_ends(self.worker, self.reason.take());
    }
}
