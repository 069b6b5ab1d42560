//! Threads on a kanal channel.

use kanal::Sender;

use super::{
    replies::Request,
    typed::{Ask, Crew, Fire, Queue},
};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

pub(crate) enum Kanal {}

impl Contender for Kanal {
    const NAME: &'static str = "kanal";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "A bounded channel of typed messages, threads on `recv`; `send`, \
        and `as_async().send` for async callers.";

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
        let (sender, receiver) = kanal::bounded(shape.capacity);
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
        self.sender.send(message).expect("the workers are there");
    }

    async fn send_async(&self, message: M, _: Priority) {
        self.sender
            .as_async()
            .send(message)
            .await
            .expect("the workers are there");
    }

    fn finish(self) {
        drop(self.sender);
        self.crew.join();
    }
}
