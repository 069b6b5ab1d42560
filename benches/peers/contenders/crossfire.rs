//! Threads on a crossfire channel.

use std::iter;

use crossfire::{MAsyncTx, MRx, MTx, mpmc};

use super::{
    replies::Request,
    typed::{Ask, Carrier, Crew, Fire, Life, Queue, Source},
};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

pub(crate) enum Crossfire {}

impl Contender for Crossfire {
    const NAME: &'static str = "crossfire";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "Its bounded MPMC array flavour with typed messages, blocking \
        receivers, `MTx::send`, and `MAsyncTx::send` for async callers; back-off set by its own \
        `detect_backoff_cfg`. A batch is a `recv` and then what `try_recv` finds.";

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

pub(crate) struct Threads<M: 'static> {
    sender: MTx<mpmc::Array<M>>,
    async_sender: MAsyncTx<mpmc::Array<M>>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, life: impl Life<M>) -> Self {
        crossfire::detect_backoff_cfg();
        let (sender, receiver) = mpmc::bounded_blocking(shape.capacity);
        let crew = Crew::start(shape.workers, || {
            let (receiver, life) = (receiver.clone(), life.clone());
            move || life.live(receiver)
        });
        Self {
            async_sender: sender.clone().into_async(),
            sender,
            crew,
        }
    }
}

impl<M: Send + 'static> Carrier<M> for Threads<M> {
    fn send(&self, message: M, _: Priority) {
        if self.sender.send(message).is_err() {
            panic!("the workers are gone");
        }
    }

    async fn send_async(&self, message: M, _: Priority)
    where
        M: Unpin,
    {
        if self.async_sender.send(message).await.is_err() {
            panic!("the workers are gone");
        }
    }

    fn finish(self) {
        drop((self.sender, self.async_sender));
        self.crew.join();
    }
}

impl<M: 'static> Source<M> for MRx<mpmc::Array<M>> {
    fn take(&mut self) -> Option<M> {
        self.recv().ok()
    }

    fn take_many(&mut self, batch: &mut Vec<M>, most: usize) {
        batch.extend(self.recv().ok());
        batch.extend(iter::from_fn(|| self.try_recv().ok()).take(most - 1));
    }
}
