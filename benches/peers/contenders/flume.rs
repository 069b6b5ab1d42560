//! Threads on a flume channel.

use flume::Sender;

use super::{
    replies::Request,
    typed::{Ask, Crew, Fire, Queue},
};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

pub(crate) enum Flume {}

impl Contender for Flume {
    const NAME: &'static str = "flume";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "A bounded channel of typed messages, threads on `recv`; `send`, \
        and `send_async` for async callers.";

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
        let (sender, receiver) = flume::bounded(shape.capacity);
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
        if self.sender.send_async(message).await.is_err() {
            panic!("the workers are gone");
        }
    }

    fn finish(self) {
        drop(self.sender);
        self.crew.join();
    }
}
