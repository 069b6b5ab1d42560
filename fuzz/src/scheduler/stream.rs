//! A result stream of the pool under test.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lanepool::ResultStream;

use super::calls::Bell;
use super::driver::Driver;
use super::input::TaskSpec;
use super::machine::Machine;
use super::model::{Caller, Verdict};
use super::ways_in::check_refusal;
use super::world::{Id, Request, Value};

/// Tasks that it may have outstanding.
const LIMIT: usize = 3;

/// The stream, and the model of it.
pub(crate) struct Stream {
    stream: ResultStream<Request, Value, Value>,
    pub(crate) tasks: Vec<Id>,
    pub(crate) bell: Arc<Bell>,
    /// Whether somebody waits for a result.
    pub(crate) waits: bool,
}

impl<M: Machine> Driver<M> {
    /// Hands a task to the stream. A future that has to wait for room is dropped at once.
    pub(crate) fn stream_submit(&mut self, spec: &TaskSpec, may_wait: bool) {
        let mut stream = self.stream.take().unwrap_or_else(|| Stream {
            stream: self.pool().stream(LIMIT),
            tasks: Vec::new(),
            bell: Arc::default(),
            waits: false,
        });
        let spec = TaskSpec {
            numbered: true,
            ..spec.clone()
        };
        let (id, task) = self.make(&spec, Caller::Waits);
        let sight = self.look();
        let expected = if stream.tasks.len() == LIMIT {
            Verdict::Full
        } else {
            self.model.submit(id, may_wait)
        };
        let submitted = if may_wait {
            let future = pin!(stream.stream.submit(task));
            match future.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(submitted) => Some(submitted),
                Poll::Pending => None,
            }
        } else {
            Some(stream.stream.try_submit(task))
        };
        let accepted = matches!(submitted, Some(Ok(())));
        let verdict = if may_wait {
            self.came_in(id, expected, &sight, accepted)
        } else {
            self.tried(id, expected, &sight, accepted)
        };
        match submitted {
            None => assert_eq!(verdict, Verdict::Waits, "task {id} is made to wait"),
            Some(Err(refused)) => check_refusal(id, verdict, refused),
            Some(Ok(())) => {
                assert_eq!(verdict, Verdict::Enters, "task {id} was accepted");
                stream.tasks.push(id);
            }
        }
        assert_eq!(stream.stream.outstanding(), stream.tasks.len());
        assert_eq!(stream.stream.has_room(), stream.tasks.len() < LIMIT);
        self.stream = Some(stream);
    }

    /// Takes a result if there is one.
    pub(crate) fn stream_next(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        stream.bell.take();
        let waker = Waker::from(Arc::clone(&stream.bell));
        let polled = stream.stream.poll_next(&mut Context::from_waker(&waker));
        stream.waits = polled.is_pending();
        match polled {
            Poll::Ready(None) => assert!(stream.tasks.is_empty(), "a stream loses its tasks"),
            Poll::Ready(Some(item)) => {
                let number = item.context.message_id().expect("every task has a number");
                let place = stream.tasks.iter().position(|id| *id as u64 + 1 == number);
                let place = place.expect("a result of a task that is outstanding");
                let id = stream.tasks.remove(place);
                self.answered(id, item.result);
            }
            Poll::Pending => {
                assert!(!stream.tasks.is_empty(), "an empty stream waits");
                let mut tasks = stream.tasks.iter();
                if tasks.any(|id| self.model.answer(*id).is_some()) {
                    self.eventually("a stream with a result waits", || {
                        M::CONCURRENT && stream.bell.has_rung()
                    });
                }
            }
        }
        self.stream = Some(stream);
    }

    /// Drops the stream, which cancels what has not been started.
    pub(crate) fn stream_drop(&mut self) {
        let Some(Stream { stream, tasks, .. }) = self.stream.take() else {
            return;
        };
        drop(stream);
        tasks.into_iter().for_each(|id| self.model.leave(id));
    }

    /// Whether a result is there to be taken.
    pub(crate) fn stream_has_answers(&self) -> bool {
        let answered = |id: &Id| self.model.answer(*id).is_some();
        let mut tasks = self.stream.iter().flat_map(|stream| &stream.tasks);
        tasks.any(answered)
    }

    /// Whether nothing of a stream is outstanding.
    pub(crate) fn stream_is_done(&self) -> bool {
        self.stream
            .as_ref()
            .is_none_or(|stream| stream.tasks.is_empty())
    }
}
