//! What the driver holds of a call that has no answer yet: its future, polled by hand, and the model
//! of how far it has got.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use lanepool::{ExecuteError, SubmitError, Ticket};

use super::model::{Arrivals, Gate, Model, Verdict};
use super::world::{Id, Request, Value};

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

pub(crate) type Executed = Result<Value, ExecuteError<Request, Value>>;

/// A call that is under way.
pub(crate) enum Call {
    Ticket(Id, Ticket<Value, Value>),
    Submit(
        Id,
        Boxed<Result<Ticket<Value, Value>, SubmitError<Request>>>,
    ),
    Spawn(Id, Boxed<Result<(), SubmitError<Request>>>),
    Execute(Id, Boxed<Executed>),
    Batch(Feed, Boxed<Vec<Executed>>),
}

/// How far the task of a call has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The future was not polled yet.
    Fresh,
    /// It waits for room in its lane.
    Waiting,
    /// The task was accepted.
    Inside,
}

/// A call, its waker, and what it waits for.
pub(crate) struct Held {
    pub(crate) call: Call,
    pub(crate) progress: Progress,
    pub(crate) bell: Arc<Bell>,
    pub(crate) waker: Waker,
    /// Where it waits for room.
    pub(crate) at_gate: Option<Gate>,
    /// The task whose answer it waits for.
    pub(crate) awaits: Option<Id>,
}

impl Held {
    pub(crate) fn new(call: Call) -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            call,
            progress: Progress::Fresh,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            at_gate: None,
            awaits: None,
        }
    }
}

/// A waker that remembers whether it was called.
#[derive(Debug, Default)]
pub(crate) struct Bell(AtomicBool);

impl Bell {
    pub(crate) fn has_rung(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether it has rung since the last time.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The model of a batch on its way into the lanes: tasks of one lane go in together, up to 16, and a
/// task is checked when its turn comes to be one of them.
#[derive(Debug)]
pub(crate) struct Feed {
    tasks: Vec<Id>,
    rest: VecDeque<Id>,
    chunk: VecDeque<Id>,
    /// A checked task of another lane than the chunk's.
    next: Option<Id>,
    refusals: Vec<(Id, Verdict)>,
}

/// Tasks that go in together.
const CHUNK: usize = 16;

impl Feed {
    pub(crate) fn new(tasks: Vec<Id>) -> Self {
        Self {
            rest: tasks.iter().copied().collect(),
            tasks,
            chunk: VecDeque::new(),
            next: None,
            refusals: Vec::new(),
        }
    }

    pub(crate) fn tasks(&self) -> &[Id] {
        &self.tasks
    }

    /// Why a task of the batch was refused, if it was.
    pub(crate) fn refusal(&self, id: Id) -> Option<Verdict> {
        let found = self.refusals.iter().find(|(refused, _)| *refused == id);
        found.map(|(_, verdict)| *verdict)
    }

    /// Hands over what fits. Returns where it waits for room, if it has to.
    pub(crate) fn advance(&mut self, model: &mut Model, arrivals: &mut Arrivals) -> Option<Gate> {
        loop {
            while let Some(id) = self.chunk.front().copied() {
                match model.enter(id, true) {
                    Verdict::Enters => model.accept(id, arrivals),
                    Verdict::Waits => return Some(model.gate_of(id)),
                    refusal => self.refusals.push((id, refusal)),
                }
                self.chunk.pop_front();
            }
            self.fill(model);
            if self.chunk.is_empty() {
                return None;
            }
        }
    }

    fn fill(&mut self, model: &mut Model) {
        while self.chunk.len() < CHUNK {
            let id = match self.next.take() {
                Some(id) => id,
                None => {
                    let Some(id) = self.rest.pop_front() else {
                        return;
                    };
                    if let Some(refusal) = model.check(id) {
                        self.refusals.push((id, refusal));
                        continue;
                    }
                    id
                }
            };
            let other_lane = |first: &Id| model.task(*first).lane != model.task(id).lane;
            if self.chunk.front().is_some_and(other_lane) {
                self.next = Some(id);
                return;
            }
            self.chunk.push_back(id);
        }
    }

    /// The first task without an answer, if the whole batch was handed over.
    pub(crate) fn first_unanswered(&self, model: &Model) -> Option<Id> {
        let answered = |id: &Id| self.refusal(*id).is_some() || model.answer(*id).is_some();
        self.tasks.iter().copied().find(|id| !answered(id))
    }
}
