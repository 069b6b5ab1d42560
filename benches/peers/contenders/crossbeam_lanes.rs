//! Threads on four crossbeam channels, one for each priority.

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError};
use tokio::task::yield_now;

use super::{
    replies::Request,
    typed::{Ask, Carrier, Crew, Fire, Life, Queue, Source},
};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

const LANES: usize = 4;

pub(crate) enum CrossbeamLanes {}

impl Contender for CrossbeamLanes {
    const NAME: &'static str = "crossbeam-lanes";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "Four bounded crossbeam channels of typed messages; a worker tries \
        them from the highest to the lowest and, when all are empty, sleeps in a `Select` over the \
        four. `call_async` yields to the runtime while its lane is full. A batch is what a worker \
        finds at one go, from the highest lane to the lowest.";

    type Tasks<T: Task> = Fire<Threads<T>>;
    type Calls<S: Serve> = Ask<Threads<Request>>;
    type Batches<S: ServeBatch> = Ask<Threads<Request>>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        Fire::start(shape)
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        Ask::start(shape, serve)
    }

    fn batches<S: ServeBatch>(shape: Shape, most: usize, serve: S) -> Self::Batches<S> {
        Ask::start_batches(shape, most, serve)
    }
}

pub(crate) struct Threads<M> {
    /// By priority, lowest first.
    senders: Vec<Sender<M>>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, life: impl Life<M>) -> Self {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..LANES)
            .map(|_| crossbeam_channel::bounded(shape.capacity))
            .unzip();
        let crew = Crew::start(shape.workers, || {
            let (receivers, life) = (receivers.clone(), life.clone());
            move || life.live(Lanes::of(&receivers))
        });
        Self { senders, crew }
    }
}

impl<M: Send + 'static> Carrier<M> for Threads<M> {
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

/// The lanes as a worker sees them.
struct Lanes<'a, M> {
    receivers: &'a [Receiver<M>],
    any: Select<'a>,
}

impl<'a, M> Lanes<'a, M> {
    fn of(receivers: &'a [Receiver<M>]) -> Self {
        let mut any = Select::new();
        for receiver in receivers {
            any.recv(receiver);
        }
        Self { receivers, any }
    }
}

impl<M> Source<M> for Lanes<'_, M> {
    fn take(&mut self) -> Option<M> {
        loop {
            match next(self.receivers) {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                // Which one is ready does not matter: a higher one may have become so, too.
                Err(TryRecvError::Empty) => {
                    self.any.ready();
                }
            }
        }
    }

    fn take_many(&mut self, batch: &mut Vec<M>, most: usize) {
        batch.extend(self.take());
        for receiver in self.receivers.iter().rev() {
            batch.extend(receiver.try_iter().take(most - batch.len()));
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
