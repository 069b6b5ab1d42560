//! The way of one task through a worker: begun, answered, counted, whatever the service does.

use std::sync::Arc;
use std::time::Duration;

use super::ages::Ages;
use super::batch_shift::{Due, Item};
use super::hand::Hand;
use super::puller::Puller;
use super::run_length::RunLength;
use crate::engine::Engine;
use crate::error::ProcessingError;
use crate::events::PoolEvent;
use crate::panics;
use crate::reply::{Delivery, Promise};
use crate::schedule::Key;
use crate::schedule::shards::Seat;
use crate::stats::WorkerBlock;
use crate::task::{Answer, Outcome, Papers, Task, TaskContext};

/// One worker's working life. Dropped, it settles what the worker still held and signs it off.
pub(crate) struct Shift<Q, R, E> {
    pub(super) engine: Arc<Engine<Q, R, E>>,
    pub(super) worker: usize,
    pub(super) seat: Seat,
    pub(super) block: Arc<WorkerBlock>,
    puller: Puller,
    hand: Hand<Q, R, E>,
    /// When the task that runs was accepted and when it was started; 0 if it is not timed.
    stamp_ns: u64,
    start_ns: u64,
    /// When the worker ran out of tasks, on the pool's clock; 0 while it has some.
    idle_since_ns: u64,
    /// Whether this idle spell was longer than a spin.
    idle_for_long: bool,
    /// How many answers have woken their callers since the worker last ran out of tasks.
    woken: u64,
    /// Whether the worker has gone: what its place has is another's from then on.
    gone: bool,
    /// Why the worker ends, if it was not the pool's wish.
    pub(super) reason: Option<String>,
}

impl<Q, R, E> Shift<Q, R, E> {
    pub(crate) fn new(engine: Arc<Engine<Q, R, E>>, worker: usize, longest_run: usize) -> Self {
        let block = Arc::clone(&engine.blocks[worker]);
        block.record_start(engine.clock.now_ns());
        let seat = engine.seat(worker);
        let length = RunLength::new(longest_run, engine.clock.reading_ns());
        let ages = engine.config.ageing.map(|after| Ages::new(worker, after));
        Self {
            puller: Puller::new(seat, &engine.config.weights(), length, ages),
            engine,
            worker,
            seat,
            block,
            hand: Hand::new(),
            stamp_ns: 0,
            start_ns: 0,
            idle_since_ns: 0,
            idle_for_long: false,
            woken: 0,
            gone: false,
            reason: None,
        }
    }

    /// Brings the next task to the worker's hand. Returns whether any lane has one to give.
    #[inline(always)]
    pub(super) fn has_next(&mut self) -> bool {
        self.puller.next(&self.engine, &self.block, &mut self.hand)
    }

    /// As [`Shift::has_next`], unless that was said of a task that is in the hand still: then nothing may be laid
    /// before it.
    pub(super) fn brings_next(&mut self) -> bool {
        !self.hand.is_empty() || self.has_next()
    }

    /// Whether nothing is left to do, now or later: everything that was ever accepted is taken and
    /// nothing more can come. When the pool has given up, nobody has to look: what is in the hand is settled
    /// first, and whatever waited was taken before. A worker that is to go goes.
    pub(super) fn is_over(&mut self) -> bool {
        if self.gone {
            return true;
        }
        let hint = self.engine.shards.shared.hint();
        if hint.is_given_up() {
            self.lay_down();
            return true;
        }
        if hint.is_leaving() && self.engine.goes(self.worker) {
            self.gone = true;
            return true;
        }
        self.engine.is_exhausted(self.seat)
    }

    /// Whether the worker is to go when it is done with what it holds.
    pub(super) fn is_to_go(&self) -> bool {
        let engine = &self.engine;
        engine.shards.shared.hint().is_leaving() && engine.shards.crew.is_to_go(self.worker)
    }

    /// Abandons what is in the hand.
    fn lay_down(&mut self) {
        while !self.hand.is_empty() {
            let request = self.hand.draw();
            self.settle_unstarted(request, Outcome::Abandoned);
        }
    }

    /// Whether runs are as long as they may be.
    pub(super) fn runs_are_longest(&self) -> bool {
        self.puller.runs_are_longest()
    }

    /// Starts the task that [`Shift::has_next`] has brought: gives out its request, or settles it if it
    /// must not be started.
    #[inline(always)]
    pub(super) fn begin(&mut self) -> Option<Q> {
        let request = self.hand.draw();
        let lane = self.hand.front();
        let promise = self.hand.promise()?;
        let mut stamp_ns = 0;
        if promise.is_blank() {
            self.block.start_task(lane);
        } else if !promise.is_wanted() {
            self.settle_unstarted(request, Outcome::Cancelled);
            return None;
        } else if let Some(papers) = self.hand.papers() {
            if papers.context.expired(|| self.engine.clock.now_ns()) {
                self.settle_unstarted(request, Outcome::Expired);
                return None;
            }
            self.block.start_task_of(lane, &papers.context);
            stamp_ns = papers.stamp_ns;
        } else {
            self.block.start_task(lane);
        }
        if stamp_ns | self.idle_since_ns != 0 {
            self.start_ns = self.clock_in(lane, stamp_ns);
        }
        Some(request)
    }

    /// The context of the task that was begun.
    #[inline(always)]
    pub(super) fn context(&self) -> &TaskContext {
        match self.hand.papers() {
            Some(papers) => &papers.context,
            None => &TaskContext::EMPTY,
        }
    }

    /// Times the start of a task of the sample, and the end of an idle spell. Returns the start, or 0
    /// for a task that is not of the sample.
    #[cold]
    fn clock_in(&mut self, lane: usize, stamp_ns: u64) -> u64 {
        let idle_since_ns = std::mem::take(&mut self.idle_since_ns);
        let idle_for_long = std::mem::take(&mut self.idle_for_long);
        if stamp_ns == 0 && !idle_for_long {
            return 0;
        }
        let now_ns = self.engine.clock.now_ns();
        if idle_for_long {
            self.block.record_idle(now_ns.saturating_sub(idle_since_ns));
        }
        if stamp_ns == 0 {
            return 0;
        }
        let wait_ns = now_ns.saturating_sub(stamp_ns);
        self.stamp_ns = stamp_ns;
        self.block.record_wait(lane, wait_ns);
        self.end_idle_for(now_ns, idle_since_ns, stamp_ns);
        self.tell_dequeued(lane, wait_ns);
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

    /// Answers and counts the task that runs, if one does.
    #[inline(always)]
    fn settle(&mut self, outcome: Outcome, answer: Answer<R, E>) {
        let lane = self.hand.front();
        let Some(promise) = self.hand.close() else {
            return;
        };
        self.block.end_task();
        if self.start_ns != 0 {
            self.clock_out(lane, outcome);
        }
        // Counted before it is answered: who has an answer finds it in the statistics.
        self.block.settle(lane, outcome);
        match promise.complete(answer) {
            Delivery::Delivered | Delivery::Unwanted => {}
            Delivery::Woke => self.note_woken(),
            Delivery::TooLate => self.block.recount(lane, outcome, Outcome::Abandoned),
        }
        if self.hand.is_keyed() {
            self.give_back_played();
        }
    }

    /// Lets the next task of the key of the task that was played have its turn.
    #[cold]
    #[inline(never)]
    fn give_back_played(&mut self) {
        if let Some(key) = self.hand.take_key() {
            self.give_back(key);
        }
    }

    /// Lets the next task of a key have its turn.
    pub(super) fn give_back(&self, key: Key) {
        if let Some(lane) = self.engine.strands.give_back(key) {
            self.engine.announce_next(key, lane, self.seat);
        }
    }

    /// An answer has woken somebody.
    pub(super) fn note_woken(&mut self) {
        self.woken += 1;
    }

    /// How many answers have woken somebody since this was last asked.
    pub(super) fn take_woken(&mut self) -> u64 {
        std::mem::take(&mut self.woken)
    }

    #[cold]
    fn clock_out(&mut self, lane: usize, outcome: Outcome) {
        let start_ns = std::mem::take(&mut self.start_ns);
        let now_ns = self.engine.clock.now_ns();
        let run_ns = now_ns.saturating_sub(start_ns);
        self.block.record_run(lane, run_ns);
        let response_ns = now_ns.saturating_sub(self.stamp_ns);
        self.block.response.record(now_ns, run_ns, response_ns);
        if let Some(watch) = &self.engine.watch {
            let run = Duration::from_nanos(run_ns);
            watch.tell(|monitor| monitor.on_finished(lane, run, outcome));
        }
    }

    /// Answers and counts the task that was drawn and is not started.
    #[cold]
    fn settle_unstarted(&mut self, request: Q, outcome: Outcome) {
        let lane = self.hand.front();
        let Some(promise) = self.hand.close() else {
            return;
        };
        self.refuse(lane, promise, request, outcome);
        if self.hand.is_keyed() {
            self.give_back_played();
        }
    }

    /// Answers and counts a task that is not started.
    fn refuse(&self, lane: usize, promise: Promise<Answer<R, E>>, request: Q, outcome: Outcome) {
        self.block.settle(lane, outcome);
        let answer = if outcome == Outcome::Expired {
            ProcessingError::Expired
        } else {
            ProcessingError::Abandoned
        };
        if promise.complete(Err(answer)) == Delivery::TooLate {
            self.block.recount(lane, outcome, Outcome::Abandoned);
        }
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| monitor.on_finished(lane, Duration::ZERO, outcome));
        }
        panics::discard(request);
    }

    /// Takes the task that [`Shift::has_next`] has brought for a batch; or settles it if it must not be
    /// started.
    ///
    /// # Errors
    /// Its outcome, if it was settled.
    pub(super) fn take(&mut self) -> Result<Item<Q, R, E>, Outcome> {
        let request = self.hand.draw();
        let lane = self.hand.front();
        let papers = self.hand.papers().copied();
        let papers = papers.unwrap_or(Papers {
            context: TaskContext::EMPTY,
            stamp_ns: 0,
        });
        let key = self.hand.take_key();
        let promise = self.hand.close().ok_or(Outcome::Abandoned)?;
        self.examine(lane, Task { request, promise }, papers, key)
    }

    /// Makes an item of a task, unless it must not be started; then it is settled.
    ///
    /// # Errors
    /// Its outcome, if it was settled.
    pub(super) fn examine(
        &mut self,
        lane: usize,
        task: Task<Q, R, E>,
        papers: Papers,
        key: Option<Key>,
    ) -> Result<Item<Q, R, E>, Outcome> {
        let Task { request, promise } = task;
        let Papers { context, stamp_ns } = papers;
        let unwanted = !promise.is_wanted();
        let item = Item {
            request,
            context,
            due: Due {
                lane,
                promise,
                stamp_ns,
                key,
            },
            put_off: 0,
        };
        let outcome = if unwanted {
            Outcome::Cancelled
        } else if item.context.expired(|| self.engine.clock.now_ns()) {
            Outcome::Expired
        } else {
            return Ok(item);
        };
        self.settle_item(item, outcome);
        Err(outcome)
    }

    /// Answers and counts a task of a batch that is not started.
    pub(super) fn settle_item(&self, item: Item<Q, R, E>, outcome: Outcome) {
        let Due {
            lane, promise, key, ..
        } = item.due;
        self.refuse(lane, promise, item.request, outcome);
        if let Some(key) = key {
            self.give_back(key);
        }
    }

    /// Whether the worker may take tasks of a lane now.
    pub(super) fn takes(&self, lane: usize) -> bool {
        let open = self.engine.shards.shared.hint().open();
        self.seat.lanes & open & (1 << lane) != 0
    }

    /// The worker has taken a task of this lane that the puller did not bring.
    pub(super) fn claimed(&self, lane: usize) {
        self.block.claim(lane, 1);
    }

    /// An idle spell ends with a task that was accepted at `stamp_ns`.
    pub(super) fn end_idle(&mut self, now_ns: u64, stamp_ns: u64) {
        let idle_since_ns = std::mem::take(&mut self.idle_since_ns);
        let idle_for_long = std::mem::take(&mut self.idle_for_long);
        if idle_for_long {
            self.block.record_idle(now_ns.saturating_sub(idle_since_ns));
        }
        self.end_idle_for(now_ns, idle_since_ns, stamp_ns);
    }

    /// A task that was accepted at `stamp_ns` has ended an idle spell, if there was one.
    fn end_idle_for(&self, now_ns: u64, idle_since_ns: u64, stamp_ns: u64) {
        if idle_since_ns != 0 && idle_since_ns <= stamp_ns {
            self.block.dispatch.record(now_ns.saturating_sub(stamp_ns));
        } else if idle_since_ns != 0 {
            self.block
                .record_idle_backlogged(now_ns.saturating_sub(idle_since_ns));
        }
    }

    pub(super) fn tell_dequeued(&self, lane: usize, wait_ns: u64) {
        if let Some(watch) = &self.engine.watch {
            watch.tell(|monitor| monitor.on_dequeued(lane, Duration::from_nanos(wait_ns)));
        }
    }

    /// The worker starts a batch whose first task is this.
    pub(super) fn starts(&self, lane: usize, context: &TaskContext) {
        self.block.start_task_of(lane, context);
    }

    /// The worker has run out of tasks. Returns since when.
    pub(super) fn went_idle(&mut self) -> u64 {
        if self.idle_since_ns == 0 {
            self.idle_since_ns = self.engine.clock.now_ns();
        }
        self.idle_since_ns
    }

    /// The idle spell is longer than a spin, and worth its clock readings.
    pub(super) fn stays_idle(&mut self) {
        self.idle_for_long = true;
    }
}

impl<Q, R, E> Drop for Shift<Q, R, E> {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned, Err(ProcessingError::Abandoned));
        self.lay_down();
        if !self.gone {
            self.engine.worker_ends(self.worker, self.reason.take());
        }
    }
}
