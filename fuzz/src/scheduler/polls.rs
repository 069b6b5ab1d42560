//! Calls that are held: polls them, gives them up, and compares their answers with the model.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lanepool::{ExecuteError, Outcome, ProcessingError};

use super::calls::{Call, Executed, Held, Progress};
use super::driver::Driver;
use super::machine::Machine;
use super::model::{Gate, Verdict};
use super::ways_in::check_refusal;
use super::world::{Id, Value};

impl<M: Machine> Driver<M> {
    pub(crate) fn with_call(&mut self, which: u8, act: fn(&mut Self, Held)) {
        if !self.calls.is_empty() {
            let index = usize::from(which) % self.calls.len();
            let held = self.calls.remove(index);
            act(self, held);
        }
    }

    /// Drops a call that was woken at its gate.
    pub(crate) fn drop_woken(&mut self) {
        let woken = |held: &Held| held.at_gate.is_some() && held.bell.has_rung();
        if let Some(index) = self.calls.iter().position(woken) {
            let held = self.calls.remove(index);
            self.give_up(held);
        }
    }

    /// Polls a call, and keeps it unless it is ready.
    ///
    /// A caller that waits for room in the queue of its key may find it before it is told. It is let sleep, so
    /// that it has one waker in one place.
    pub(crate) fn poll(&mut self, mut held: Held) {
        let notified = held.bell.take();
        if matches!(held.at_gate, Some(Gate::Crowd { .. })) && !notified {
            self.calls.push(held);
            return;
        }
        let gate = held.at_gate.take();
        held.awaits = None;
        let waker = held.waker.clone();
        let mut context = Context::from_waker(&waker);
        let keep = match &mut held.call {
            Call::Ticket(id, ticket) => {
                let id = *id;
                held.awaits = Some(id);
                match Pin::new(ticket).poll(&mut context) {
                    Poll::Pending => self.still_unanswered(id, &held),
                    Poll::Ready(answer) => self.answered(id, answer),
                }
            }
            Call::Submit(id, future) => {
                let id = *id;
                let sight = self.look();
                let expected = self.approach(id, held.progress, notified);
                let polled = future.as_mut().poll(&mut context);
                let accepted = matches!(polled, Poll::Ready(Ok(_)));
                let verdict = self.came_in(id, expected, &sight, accepted);
                match polled {
                    Poll::Pending => held_up(id, verdict),
                    Poll::Ready(submitted) => {
                        self.hold_ticket(id, verdict, submitted);
                        false
                    }
                }
            }
            Call::Spawn(id, future) => {
                let id = *id;
                let sight = self.look();
                let expected = self.approach(id, held.progress, notified);
                let polled = future.as_mut().poll(&mut context);
                let accepted = matches!(polled, Poll::Ready(Ok(_)));
                let verdict = self.came_in(id, expected, &sight, accepted);
                match polled {
                    Poll::Pending => held_up(id, verdict),
                    Poll::Ready(Ok(())) => {
                        assert_eq!(verdict, Verdict::Enters, "task {id} was accepted");
                        false
                    }
                    Poll::Ready(Err(refused)) => {
                        check_refusal(id, verdict, refused);
                        false
                    }
                }
            }
            Call::Execute(id, future) => {
                let id = *id;
                let sight = self.look();
                let verdict = if held.progress == Progress::Inside {
                    Verdict::Enters
                } else {
                    self.approach(id, held.progress, notified)
                };
                let polled = future.as_mut().poll(&mut context);
                let verdict = if held.progress == Progress::Inside {
                    verdict
                } else {
                    let refused = matches!(polled, Poll::Ready(Err(ExecuteError::Refused(_))));
                    let accepted = !refused && self.has_accepted(verdict, &sight);
                    self.came_in(id, verdict, &sight, accepted)
                };
                held.awaits = (verdict == Verdict::Enters).then_some(id);
                match polled {
                    Poll::Pending if verdict == Verdict::Enters => {
                        held.progress = Progress::Inside;
                        self.still_unanswered(id, &held)
                    }
                    Poll::Pending => held_up(id, verdict),
                    Poll::Ready(executed) => {
                        self.executed(id, verdict, executed);
                        false
                    }
                }
            }
            Call::Batch(feed, future) => {
                let waits_still = held.progress == Progress::Waiting && !notified;
                let sight = self.look();
                let polled = future.as_mut().poll(&mut context);
                let mut arrivals = self.arrivals(&sight, true);
                let at_gate = if held.progress == Progress::Inside || waits_still {
                    None
                } else {
                    feed.advance(&mut self.model, &mut arrivals)
                };
                arrivals.finish();
                if waits_still || at_gate.is_some() {
                    assert!(polled.is_pending(), "a batch is ready before it is in");
                    held.progress = Progress::Waiting;
                    held.at_gate = at_gate.or(gate);
                    true
                } else {
                    held.progress = Progress::Inside;
                    match polled {
                        Poll::Pending => {
                            held.awaits = feed.first_unanswered(&self.model);
                            // Without an open task the last answers are a moment away.
                            held.awaits.is_some() || self.still_to_be_woken(&held)
                        }
                        Poll::Ready(results) => {
                            let verdicts: Vec<_> = feed
                                .tasks()
                                .iter()
                                .map(|id| (*id, feed.refusal(*id).unwrap_or(Verdict::Enters)))
                                .collect();
                            assert_eq!(results.len(), verdicts.len());
                            for ((id, verdict), result) in verdicts.into_iter().zip(results) {
                                self.executed(id, verdict, result);
                            }
                            false
                        }
                    }
                }
            }
        };
        if keep {
            if let Call::Submit(id, _) | Call::Spawn(id, _) | Call::Execute(id, _) = &held.call
                && held.awaits.is_none()
            {
                held.progress = Progress::Waiting;
                let stays = gate.filter(|_| !notified);
                held.at_gate = stays.or_else(|| Some(self.model.gate_of(*id)));
            }
            self.calls.push(held);
        }
    }

    /// A task that is not in its lane yet comes nearer: at once, or when it was let in.
    pub(crate) fn approach(&mut self, id: Id, progress: Progress, notified: bool) -> Verdict {
        match progress {
            Progress::Fresh => self.model.submit(id, true),
            Progress::Waiting if notified => self.model.enter(id, true),
            Progress::Waiting | Progress::Inside => Verdict::Waits,
        }
    }

    /// A caller that finds no answer. Returns that the call is kept.
    pub(crate) fn still_unanswered(&self, id: Id, held: &Held) -> bool {
        self.model.answer(id).is_none() || self.still_to_be_woken(held)
    }

    /// A caller that should have found an answer: threads answer a moment after they tell of the end.
    /// Returns that the call is kept.
    fn still_to_be_woken(&self, held: &Held) -> bool {
        self.eventually("an answered caller waits", || {
            M::CONCURRENT && held.bell.has_rung()
        });
        true
    }

    /// Compares an answer with the model. Returns that the call is not kept.
    pub(crate) fn answered(
        &mut self,
        id: Id,
        answer: Result<Value, ProcessingError<Value>>,
    ) -> bool {
        if M::CONCURRENT {
            self.run();
        }
        let outcome = match answer {
            Ok(value) => {
                assert_eq!(value.id, id, "the response of another task");
                Outcome::Completed
            }
            Err(ProcessingError::Failed(value)) => {
                assert_eq!(value.id, id, "the error of another task");
                Outcome::Failed
            }
            Err(ProcessingError::Panicked(_)) => Outcome::Panicked,
            Err(ProcessingError::Expired) => Outcome::Expired,
            Err(ProcessingError::Abandoned) => Outcome::Abandoned,
            Err(other) => panic!("task {id} ended with {other:?}"),
        };
        assert_eq!(
            self.model.answer(id),
            Some(outcome),
            "the answer of task {id}"
        );
        false
    }

    pub(crate) fn executed(&mut self, id: Id, verdict: Verdict, executed: Executed) {
        match executed {
            Ok(value) => {
                self.answered(id, Ok(value));
            }
            Err(ExecuteError::Processing(error)) => {
                self.answered(id, Err(error));
            }
            Err(ExecuteError::Refused(refused)) => check_refusal(id, verdict, refused),
            Err(other) => panic!("task {id} ended with {other:?}"),
        }
    }

    /// Drops a call, which cancels.
    pub(crate) fn give_up(&mut self, held: Held) {
        let ids = match &held.call {
            Call::Ticket(id, _) | Call::Execute(id, _) => vec![*id],
            Call::Batch(feed, _) => feed.tasks().to_vec(),
            Call::Submit(..) | Call::Spawn(..) => Vec::new(),
        };
        drop(held);
        for id in ids {
            if self.model.is_inside(id) {
                self.model.leave(id);
            }
        }
    }

    pub(crate) fn detach(&mut self, held: Held) {
        match held.call {
            Call::Ticket(id, ticket) => {
                ticket.detach();
                self.model.detach(id);
            }
            _ => self.calls.push(held),
        }
    }

    pub(crate) fn wait_no_time(&mut self, mut held: Held) {
        match held.call {
            Call::Ticket(id, ticket) => match ticket.wait_timeout(Duration::ZERO) {
                Ok(answer) => {
                    self.answered(id, answer);
                }
                Err(ticket) => {
                    let answered = self.model.answer(id).is_some();
                    assert!(M::CONCURRENT || !answered, "a wait misses the answer");
                    // The waker of the wait has taken the place of the call's.
                    held.awaits = None;
                    held.call = Call::Ticket(id, ticket);
                    self.calls.push(held);
                }
            },
            _ => self.calls.push(held),
        }
    }
}

/// A call that is pending before its task is accepted. Returns that it is kept.
fn held_up(id: Id, verdict: Verdict) -> bool {
    assert_eq!(verdict, Verdict::Waits, "task {id} is made to wait");
    true
}
