//! The end of a batch that a worker ran: everybody is answered and counted, whatever the service did.

use std::mem;
use std::time::Duration;

use super::batch_shift::{BatchShift, Due};
use crate::batch::Ran;
use crate::error::ProcessingError;
use crate::events::PoolEvent;
use crate::panics;
use crate::reply::Delivery;
use crate::service::Answers;
use crate::task::{Answer, Outcome};

impl<Q, R, E> BatchShift<Q, R, E> {
    /// The service has answered the batch.
    pub(super) fn finish(&mut self, result: Result<Answers<R, E>, E>)
    where
        E: Clone,
    {
        let requests = self.running.len();
        let end_ns = self.shift.engine.clock.now_ns();
        match result {
            Ok(mut answers) if answers.len() == requests => {
                // Taken from where they are: they are large to move as a whole.
                for answer in answers.drain() {
                    self.settle_next(end_ns, answer);
                }
            }
            Ok(mut answers) => {
                let (asked, answered) = (requests, answers.len());
                // One by one: a second panic while the first one unwinds would end the process.
                answers.drain().for_each(panics::discard);
                while !self.running.is_empty() {
                    self.settle_next(end_ns, Err(ProcessingError::Unanswered { asked, answered }));
                }
            }
            Err(error) => {
                while self.running.len() > 1 {
                    self.settle_next(end_ns, Err(ProcessingError::Failed(error.clone())));
                }
                self.settle_next(end_ns, Err(ProcessingError::Failed(error)));
            }
        }
        self.ended(requests);
    }

    /// The worker caught a panic: of the service, if a batch runs.
    pub(super) fn panicked(&mut self, message: &str) {
        let requests = self.running.len();
        let end_ns = self.shift.engine.clock.now_ns();
        self.tell_panic(message);
        while !self.running.is_empty() {
            self.settle_next(end_ns, Err(ProcessingError::Panicked(message.to_owned())));
        }
        if requests > 0 {
            self.ended(requests);
        }
    }

    fn tell_panic(&self, message: &str) {
        self.shift.block.record_panic();
        self.shift.engine.events.emit(PoolEvent::WorkerPanicked {
            worker: self.shift.worker,
            message: message.to_owned(),
        });
    }

    /// The batch has its answers.
    fn ended(&mut self, requests: usize) {
        let engine = &self.shift.engine;
        let now_ns = engine.clock.now_ns();
        let took_ns = now_ns.saturating_sub(self.start_ns);
        self.shift.block.end_task();
        let ran = Ran {
            requests,
            missing: mem::take(&mut self.missing),
            took_ns,
            now_ns,
            slack_ns: self.slack_ns.take(),
        };
        let key = self.key.take();
        engine.batching().ran(self.shift.worker, key, &ran);
        self.let_go();
    }

    /// Answers and counts the next request of the batch that runs.
    fn settle_next(&mut self, end_ns: u64, answer: Answer<R, E>) {
        let Some(due) = self.running.pop() else {
            return;
        };
        let outcome = match &answer {
            Ok(_) => Outcome::Completed,
            Err(ProcessingError::Panicked(_)) => Outcome::Panicked,
            Err(ProcessingError::Abandoned) => Outcome::Abandoned,
            Err(_) => Outcome::Failed,
        };
        let run_ns = end_ns.saturating_sub(self.start_ns);
        let Due {
            lane,
            promise,
            stamp_ns,
            key,
        } = due;
        let shift = &mut self.shift;
        if let Some(watch) = &shift.engine.watch {
            let run = Duration::from_nanos(run_ns);
            watch.tell(|monitor| monitor.on_finished(lane, run, outcome));
        }
        // Counted before it is answered: who has an answer finds it in the statistics.
        shift.block.settle(lane, outcome);
        match promise.complete(answer) {
            Delivery::Delivered | Delivery::Unwanted => {}
            Delivery::Woke => shift.note_woken(),
            Delivery::TooLate => shift.block.recount(lane, outcome, Outcome::Abandoned),
        }
        // How long it all took is noted after the answer, which waits for nothing that can come later.
        let response_ns = end_ns.saturating_sub(stamp_ns);
        let wait_ns = self.start_ns.saturating_sub(stamp_ns);
        shift.block.record_wait(lane, wait_ns);
        shift.block.record_run(lane, run_ns);
        shift.block.response.record(end_ns, run_ns, response_ns);
        if let Some(key) = key {
            shift.give_back(key);
        }
    }
}

impl<Q, R, E> Drop for BatchShift<Q, R, E> {
    fn drop(&mut self) {
        if !self.running.is_empty() {
            self.shift.block.end_task();
        }
        let now_ns = self.shift.engine.clock.now_ns();
        while !self.running.is_empty() {
            self.settle_next(now_ns, Err(ProcessingError::Abandoned));
        }
        for item in mem::take(&mut self.tray) {
            self.shift.settle_item(item, Outcome::Abandoned);
        }
        self.let_go();
    }
}
