//! Threads on a crossbeam channel.

use crossbeam_channel::{Sender, TrySendError};
use tokio::task::yield_now;

use super::{
    replies::Request,
    typed::{Ask, Crew, Fire, Queue},
};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

pub(crate) enum CrossbeamChannel {}

impl Contender for CrossbeamChannel {
    const NAME: &'static str = "crossbeam-channel";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "A bounded channel of typed messages, threads on `recv`. It has no \
        async send: `call_async` tries, and yields to the runtime while the channel is full.";

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
    sender: Sender<M>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, handle: impl Fn(M) + Clone + Send + Sync + 'static) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(shape.capacity);
        let crew = Crew::start(shape.workers, || {
            let (receiver, handle) = (receiver.clone(), handle.clone());
            move || {
                while let Ok(message) = receiver.recv() {
                    handle(message);
                }
            }
        });
        Self { sender, crew }
    }

    fn send(&self, message: M, _: Priority) {
        if self.sender.send(message).is_err() {
            panic!("the workers are gone");
        }
    }

    async fn send_async(&self, message: M, _: Priority) {
        let mut message = message;
        loop {
            match self.sender.try_send(message) {
                Ok(()) => return,
                Err(TrySendError::Full(refused)) => message = refused,
                Err(TrySendError::Disconnected(_)) => panic!("the workers are gone"),
            }
            yield_now().await;
        }
    }

    fn finish(self) {
        drop(self.sender);
        self.crew.join();
    }
}
