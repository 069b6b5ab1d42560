//! Threads on an async-channel.

use async_channel::Sender;

use super::{
    replies::Request,
    typed::{Ask, Crew, Fire, Queue},
};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

pub(crate) enum AsyncChannel {}

impl Contender for AsyncChannel {
    const NAME: &'static str = "async-channel";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "A bounded channel of typed messages, threads on `recv_blocking`; \
        `send_blocking`, and `send` for async callers.";

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
        let (sender, receiver) = async_channel::bounded(shape.capacity);
        let crew = Crew::start(shape.workers, || {
            let (receiver, handle) = (receiver.clone(), handle.clone());
            move || {
                while let Ok(message) = receiver.recv_blocking() {
                    handle(message);
                }
            }
        });
        Self { sender, crew }
    }

    fn send(&self, message: M, _: Priority) {
        if self.sender.send_blocking(message).is_err() {
            panic!("the workers are gone");
        }
    }

    async fn send_async(&self, message: M, _: Priority) {
        if self.sender.send(message).await.is_err() {
            panic!("the workers are gone");
        }
    }

    fn finish(self) {
        drop(self.sender);
        self.crew.join();
    }
}
