//! The way of one task through a worker: begun, answered, counted, whatever the service does.

use std::sync::Arc;
use std::time::Duration;

use super::puller::Puller;
use crate::engine::Engine;
use crate::error::ProcessingError;
use crate::events::PoolEvent;
use crate::reply::{Delivery, Promise};
use crate::stats::WorkerBlock;
use crate::task::{Answer, Outcome, Task, TaskContext};

/// One worker's working life. Dropped, it settles what the worker still held and signs it off.
pub(crate) struct Shift<Q, R, E> {
    pub(super) engine: Arc<Engine<Q, R, E>>,
    pub(super) worker: usize,
    pub(super) puller: Puller<Q, R, E>,
    current: Option<Current<R, E>>,
    /// When the worker ran out of tasks, on the pool's clock; 0 while it has some.
    idle_since_ns: u64,
    /// Whether this idle spell was longer than a spin.
    idle_for_long: bool,
    /// Why the worker ends, if it was not the pool's wish.
    pub(super) reason: Option<String>,
}

/// The task in the service's hands.
struct Current<R, E> {
    lane: usize,
    context: TaskContext,
    /// When it was started; 0 if it is not timed.
    start_ns: u64,
    promise: Promise<Answer<R, E>>,
}

impl<Q, R, E> Shift<Q, R, E> {
    pub(crate) fn new(engine: Arc<Engine<Q, R, E>>, worker: usize, longest_run: usize) -> Self {
        engine.blocks[worker].record_start(engine.clock.now_ns());
        let puller = Puller::new(&engine, worker, longest_run);
        Self {
            engine,
            worker,
            puller,
            current: None,
            idle_since_ns: 0,
            idle_for_long: false,
            reason: None,
        }
    }

    #[inline]
    fn block(&self) -> &WorkerBlock {
        &self.engine.blocks[self.worker]
    }

    /// The next task and its lane; `None` when no lane has one to give.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(usize, Task<Q, R, E>)> {
        self.puller.next(&self.engine)
    }

    /// Whether everything that was ever accepted is taken and nothing more can come.
    pub(super) fn is_over(&self) -> bool {
        self.engine.lanes.is_exhausted()
    }

    /// Takes a task in hand: gives out its request, or settles it if it must not be started.
    #[inline]
    pub(super) fn begin(&mut self, lane: usize, task: Task<Q, R, E>) -> Option<Q> {
        if !task.promise.is_wanted() {
            self.settle_unstarted(lane, task, Outcome::Cancelled);
            return None;
        }
        if task.expired(|| self.engine.clock.now()) {
            self.settle_unstarted(lane, task, Outcome::Expired);
            return None;
        }
        let Task {
            request,
            context,
            stamp_ns,
            promise,
        } = task;
        let start_ns = if stamp_ns != 0 || self.idle_for_long {
            self.clock_in(lane, stamp_ns)
        } else {
            self.idle_since_ns = 0;
            0
        };
        self.block().start_task(lane, &context);
        self.current = Some(Current {
            lane,
            context,
            start_ns,
            promise,
        });
        Some(request)
    }

    /// Times the start of a task of the sample, and the end of an idle spell. Returns the start, or 0
    /// for a task that is not of the sample.
    #[cold]
    fn clock_in(&mut self, lane: usize, stamp_ns: u64) -> u64 {
        let now_ns = self.engine.clock.now_ns();
        let idle_since_ns = std::mem::take(&mut self.idle_since_ns);
        if std::mem::take(&mut self.idle_for_long) {
            self.block()
                .record_idle(now_ns.saturating_sub(idle_since_ns));
        }
        if stamp_ns == 0 {
            return 0;
        }
        let wait_ns = now_ns.saturating_sub(stamp_ns);
        self.block().record_wait(lane, wait_ns);
        if idle_since_ns != 0 && idle_since_ns <= stamp_ns {
            self.block().dispatch.record(wait_ns);
        } else if idle_since_ns != 0 {
            self.block()
                .record_idle_backlogged(now_ns.saturating_sub(idle_since_ns));
        }
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| monitor.on_dequeued(lane, Duration::from_nanos(wait_ns)));
        }
        now_ns
    }

    /// The context of the task that [`Shift::begin`] took in hand.
    #[inline]
    pub(super) fn context(&self) -> TaskContext {
        self.current
            .as_ref()
            .map(|current| current.context)
            .unwrap_or_default()
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
        self.block().record_panic();
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
        let Some(current) = self.current.take() else {
            return;
        };
        let Current {
            lane,
            start_ns,
            promise,
            ..
        } = current;
        self.block().end_task();
        if start_ns != 0 {
            self.clock_out(lane, start_ns, outcome);
        }
        // Counted before it is answered: who has an answer finds it in the statistics.
        self.block().settle(lane, outcome);
        if promise.complete(answer) == Delivery::TooLate {
            self.block().recount(lane, outcome, Outcome::Abandoned);
        }
    }

    #[cold]
    fn clock_out(&mut self, lane: usize, start_ns: u64, outcome: Outcome) {
        let run_ns = self.engine.clock.now_ns().saturating_sub(start_ns);
        self.block().record_run(lane, run_ns);
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| {
                monitor.on_finished(lane, Duration::from_nanos(run_ns), outcome);
            });
        }
    }

    /// Answers and counts a task that is not started.
    #[cold]
    fn settle_unstarted(&mut self, lane: usize, task: Task<Q, R, E>, outcome: Outcome) {
        self.block().settle(lane, outcome);
        let Task {
            request, promise, ..
        } = task;
        if outcome == Outcome::Expired {
            let _: Delivery = promise.complete(Err(ProcessingError::Expired));
        } else {
            drop(promise);
        }
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| monitor.on_finished(lane, Duration::ZERO, outcome));
        }
        drop(request);
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
        while let Some((lane, task)) = self.puller.lay_down() {
            self.settle_unstarted(lane, task, Outcome::Abandoned);
        }
        self.engine.worker_ends(self.worker, self.reason.take());
    }
}
