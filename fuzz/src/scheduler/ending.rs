//! The ends of a pool, and what must be so at the end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use lanepool::{PoolEvent, ShutdownReport, TaskPriority};

use super::calls::{Call, Progress};
use super::driver::{Driver, PATIENCE, in_a_moment};
use super::input::Ending;
use super::machine::{Machine, threads};
use super::world::{Id, Request};

/// Shutdowns that are under way at once: each has a thread.
const MOST_SHUTDOWNS: usize = 2;

impl<M: Machine> Driver<M> {
    /// Shuts down without time: what is in the lanes is handed back, what runs is named.
    pub(crate) fn shutdown_now(&mut self) {
        if M::CONCURRENT {
            self.check();
            if !self.wait_for_answers() {
                return self.shutdown_begin();
            }
        }
        self.model.close();
        let returned = self.model.abandon_queued();
        let running = self.model.abandon_running();
        let claimed = self.model.in_hand() as u64;
        let report = self.pool().shutdown_blocking(Duration::ZERO);
        if report.drained {
            let none = returned.concat().is_empty() && running.is_empty();
            assert!(none, "{report:?}");
        }
        self.check_returned(&report, &returned);
        self.check_running(&report, &running);
        assert_eq!(report.claimed, claimed, "the tasks in a hand");
        if !M::CONCURRENT {
            self.read_journal();
            self.model
                .compare(&report.statistics)
                .expect("the statistics of the report");
        }
    }

    /// Threads answer a moment after they tell of the end of a task, and a shutdown may come between.
    /// Returns whether every answer is known to have come.
    fn wait_for_answers(&mut self) -> bool {
        for held in &self.calls {
            match &held.call {
                Call::Ticket(id, ticket) if self.model.answer(*id).is_some() => {
                    self.eventually("an answer does not come", || ticket.is_done());
                }
                // A batch that is under way tells of one answer at a time.
                Call::Batch(..) => return false,
                _ => {}
            }
        }
        while self.stream_has_answers() {
            self.stream_next();
        }
        true
    }

    /// What is handed back, queue by queue; of a pool that has only shared lanes, in this order.
    fn check_returned(&self, report: &ShutdownReport<Request>, expected: &[Vec<Id>]) {
        let found: Vec<Id> = report.returned.iter().map(|task| task.request.id).collect();
        let mut sorted = [found.clone(), expected.concat()];
        if self.model.is_elsewhere() {
            sorted.iter_mut().for_each(|ids| ids.sort_unstable());
        }
        assert_eq!(sorted[0], sorted[1], "the requests handed back");
        for queue in expected {
            let of_queue = found.iter().filter(|id| queue.contains(id));
            assert!(of_queue.eq(queue), "the order of {queue:?} in {found:?}");
        }
        for task in &report.returned {
            assert_eq!(task.lane, self.model.task(task.request.id).lane);
            assert_eq!(task.context.message_id(), task.request.message_id);
        }
    }

    fn check_running(&self, report: &ShutdownReport<Request>, expected: &[Id]) {
        let named = |id: &Id| {
            let task = self.model.task(*id);
            (task.lane, task.spec.numbered.then_some(*id as u64 + 1))
        };
        let mut expected: Vec<_> = expected.iter().map(named).collect();
        let mut found: Vec<_> = report
            .running
            .iter()
            .map(|task| (task.lane, task.context.message_id()))
            .collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "the running tasks that are named");
    }

    /// Begins a shutdown without a limit. Its thread only waits, reads, and reports.
    pub(crate) fn shutdown_begin(&mut self) {
        if self.shutdowns.len() == MOST_SHUTDOWNS {
            return;
        }
        self.model.close();
        let pool = self.pool().clone();
        let mut future = Box::pin(async move { pool.shutdown(Duration::MAX).await });
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_pending() {
            self.shutdowns.push(future);
        }
    }

    /// Takes the workers away, if they can be.
    pub(crate) fn end_runtime(&mut self) {
        if self.machine.end_runtime() {
            self.model.end_workers();
        }
    }

    fn resume_all(&mut self) {
        if !M::CONCURRENT {
            TaskPriority::ALL
                .into_iter()
                .for_each(|priority| self.set_paused(priority, false));
        }
    }

    fn open_gates(&mut self) {
        self.model.open_gates();
        self.world.open_gates();
        self.run();
    }

    /// Brings the pool to its end and looks whether everything is accounted for.
    pub(crate) fn finish(mut self, ending: Ending) {
        match ending {
            Ending::Finish => self.resume_all(),
            Ending::Drain => self.shutdown_begin(),
            Ending::Now => self.shutdown_now(),
            Ending::EndRuntime if M::CONCURRENT => self.shutdown_now(),
            Ending::EndRuntime => self.end_runtime(),
            Ending::Drop if self.shutdowns.is_empty() => self.drop_handles(),
            Ending::Drop => self.shutdown_now(),
        }
        self.read_journal();
        self.open_gates();
        if self.model.is_stuck() && self.pool.is_some() {
            // Only workers that are kept for other lanes are left.
            self.shutdown_begin();
            self.run();
        }
        self.answer_everybody();
        assert_eq!(self.model.queued(), 0);
        if self.pool.is_some() {
            self.check();
            self.check_monitor();
            self.end_workers();
            self.check();
            let live_keys = self.pool().scheduler().statistics().live_keys;
            assert_eq!(live_keys, 0, "keys without tasks are left");
        }
        self.pool = None;
        self.stream = None;
        self.check_events();
        self.check_nothing_is_left();
    }

    /// Drops every handle of the pool. Tickets may outlive it.
    fn drop_handles(&mut self) {
        for held in std::mem::take(&mut self.calls) {
            match held.call {
                Call::Ticket(..) => self.calls.push(held),
                _ => self.give_up(held),
            }
        }
        self.stream_drop();
        self.model.close();
        self.model.abandon_queued();
        self.pool = None;
    }

    /// Polls everybody who was woken, until nobody waits.
    fn answer_everybody(&mut self) {
        while !(self.calls.is_empty() && self.stream_is_done()) {
            self.check_bells();
            let (ready, asleep): (Vec<_>, Vec<_>) = std::mem::take(&mut self.calls)
                .into_iter()
                .partition(|held| held.bell.has_rung() || held.progress == Progress::Fresh);
            let stuck = ready.is_empty() && self.stream_is_done();
            assert!(!stuck, "nobody wakes the last callers: {:#?}", self.model);
            self.calls = asleep;
            for held in ready {
                self.poll(held);
                if M::CONCURRENT {
                    self.run();
                }
            }
            self.stream_next();
            self.run();
        }
    }

    /// Ends the workers by a shutdown that has nothing more to do.
    fn end_workers(&mut self) {
        self.shutdown_begin();
        let deadline = Instant::now() + PATIENCE;
        while let Some(mut shutdown) = self.shutdowns.pop() {
            self.run();
            match shutdown
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(report) => {
                    assert!(report.drained && report.returned.is_empty(), "{report:?}");
                    assert_eq!(report.running, []);
                }
                Poll::Pending => {
                    assert!(Instant::now() < deadline, "an idle pool does not end");
                    self.shutdowns.push(shutdown);
                    std::thread::yield_now();
                }
            }
        }
    }

    /// A monitor was told of every task.
    fn check_monitor(&self) {
        let (accepted, started, ended) = self.model.totals();
        assert_eq!(accepted, ended, "every accepted task has its outcome");
        if self.monitored {
            self.eventually("the monitor was told otherwise", || {
                let seen = self.world.seen();
                (seen.enqueued, seen.dequeued, seen.finished) == (accepted, started, ended)
            });
        }
    }

    /// The events add up, and end: nobody holds the pool any more.
    fn check_events(&mut self) {
        if !M::CONCURRENT {
            self.machine.step();
        }
        let (mut closed, mut stopped, mut panicked) = (0, 0, 0);
        while let Some(event) = self.events.recv_timeout(PATIENCE) {
            match event {
                PoolEvent::Closed => closed += 1,
                PoolEvent::WorkerStopped { .. } => stopped += 1,
                PoolEvent::WorkerPanicked { .. } => panicked += 1,
                other if self.was_told(&other) => {}
                other => panic!("an event that the model does not know: {other:?}"),
            }
        }
        self.check_changes();
        let next = pin!(self.events.recv_async());
        let ended = next.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(ended, Poll::Ready(None), "somebody holds the pool");
        assert_eq!(closed, 1, "a pool closes once");
        assert_eq!(stopped, self.workers, "every worker stops once");
        assert_eq!(panicked, self.model.panics());
    }

    fn check_nothing_is_left(&mut self) {
        self.eventually("the service is alive", || {
            Arc::strong_count(&self.world) == 1
        });
        in_a_moment("a thread is left", || threads() <= self.threads_before);
        self.read_journal();
        assert_eq!(self.model.first_not_dropped(), None, "a request is leaked");
        assert_eq!(self.world.values_alive(), 0, "an answer is leaked");
    }
}
