//! Threads on four crossbeam channels, one for each priority.

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError};
use tokio::task::yield_now;

use super::{
    replies::Request,
    typed::{Ask, Crew, Fire, Queue},
};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

const LANES: usize = 4;

pub(crate) enum CrossbeamLanes {}

impl Contender for CrossbeamLanes {
    const NAME: &'static str = "crossbeam-lanes";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "Four bounded crossbeam channels of typed messages; a worker tries \
        them from the highest to the lowest and, when all are empty, sleeps in a `Select` over the \
        four. `call_async` yields to the runtime while its lane is full.";

    type Tasks<T: Task> = Fire<Threads<T>>;
    type Calls<S: Serve> = Ask<Threads<Request>>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        Fire::start(shape)
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        Ask::start(shape, serve)
    }
}

pub(crate) struct Threads<M> {
    /// By priority, lowest first.
    senders: Vec<Sender<M>>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, handle: impl Fn(M) + Clone + Send + Sync + 'static) -> Self {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..LANES)
            .map(|_| crossbeam_channel::bounded(shape.capacity))
            .unzip();
        let crew = Crew::start(shape.workers, || {
            let (receivers, handle) = (receivers.clone(), handle.clone());
            move || work(&receivers, handle)
        });
        Self { senders, crew }
    }

    fn send(&self, message: M, priority: Priority) {
        if self.senders[priority as usize].send(message).is_err() {
            panic!("the workers are gone");
        }
    }

    async fn send_async(&self, message: M, priority: Priority) {
        let mut message = message;
        loop {
            match self.senders[priority as usize].try_send(message) {
                Ok(()) => return,
                Err(TrySendError::Full(refused)) => message = refused,
                Err(TrySendError::Disconnected(_)) => panic!("the workers are gone"),
            }
            yield_now().await;
        }
    }

    fn finish(self) {
        drop(self.senders);
        self.crew.join();
    }
}

/// The life of a worker: until all lanes are closed and empty.
fn work<M>(receivers: &[Receiver<M>], handle: impl Fn(M)) {
    let mut any = Select::new();
    for receiver in receivers {
        any.recv(receiver);
    }
    loop {
        match next(receivers) {
            Ok(message) => handle(message),
            Err(TryRecvError::Disconnected) => return,
            // Which one is ready does not matter: a higher one may have become so, too.
            Err(TryRecvError::Empty) => {
                any.ready();
            }
        }
    }
}

/// The first message of the highest lane that has one.
fn next<M>(receivers: &[Receiver<M>]) -> Result<M, TryRecvError> {
    let mut nothing = TryRecvError::Disconnected;
    for receiver in receivers.iter().rev() {
        match receiver.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Empty) => nothing = TryRecvError::Empty,
            Err(TryRecvError::Disconnected) => {}
        }
    }
    Err(nothing)
}
