//! Threads on a flume channel.

use flume::{Receiver, Sender};

use super::{
    replies::Request,
    typed::{Ask, Carrier, Crew, Fire, Life, Queue, Source},
};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

pub(crate) enum Flume {}

impl Contender for Flume {
    const NAME: &'static str = "flume";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "A bounded channel of typed messages, threads on `recv`; `send`, \
        and `send_async` for async callers. A batch is a `recv` and then what `try_iter` finds.";

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
    sender: Sender<M>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, life: impl Life<M>) -> Self {
        let (sender, receiver) = flume::bounded(shape.capacity);
        let crew = Crew::start(shape.workers, || {
            let (receiver, life) = (receiver.clone(), life.clone());
            move || life.live(receiver)
        });
        Self { sender, crew }
    }
}

impl<M: Send + 'static> Carrier<M> for Threads<M> {
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

impl<M> Source<M> for Receiver<M> {
    fn take(&mut self) -> Option<M> {
        self.recv().ok()
    }

    fn take_many(&mut self, batch: &mut Vec<M>, most: usize) {
        batch.extend(self.recv().ok());
        batch.extend(self.try_iter().take(most - 1));
    }
}
