//! Threads on an async-priority-channel.

use std::{iter, thread};

use async_priority_channel::{Receiver, Sender};
use futures_lite::future::block_on;

use super::{
    replies::Request,
    typed::{Ask, Carrier, Crew, Fire, Life, Queue, Source},
};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

/// A channel of this kind has one bound for all priorities.
const LANES: usize = 4;

pub(crate) enum AsyncPriorityChannel {}

impl Contender for AsyncPriorityChannel {
    const NAME: &'static str = "async-priority-channel";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "A channel of typed messages with one bound, four times that of a \
        lane, for all priorities; threads that block on `recv`, since it has no other. Its heap \
        keeps no order within a priority. A batch is a `recv` and then what `try_recv` finds.";

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
    sender: Sender<M, Priority>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, life: impl Life<M>) -> Self {
        let bound = (LANES * shape.capacity) as u64;
        let (sender, receiver) = async_priority_channel::bounded(bound);
        let crew = Crew::start(shape.workers, || {
            let (receiver, life) = (receiver.clone(), life.clone());
            move || life.live(receiver)
        });
        Self { sender, crew }
    }
}

impl<M: Send + 'static> Carrier<M> for Threads<M> {
    fn send(&self, message: M, priority: Priority) {
        if block_on(self.sender.send(message, priority)).is_err() {
            panic!("the workers are gone");
        }
    }

    async fn send_async(&self, message: M, priority: Priority) {
        if self.sender.send(message, priority).await.is_err() {
            panic!("the workers are gone");
        }
    }

    fn finish(self) {
        // Closed while messages are left, the channel may leave a receiver asleep: one that saw a message
        // which another one then took begins to wait when the closing has been announced already.
        while !self.sender.is_empty() {
            thread::yield_now();
        }
        drop(self.sender);
        self.crew.join();
    }
}

impl<M> Source<M> for Receiver<M, Priority> {
    fn take(&mut self) -> Option<M> {
        Some(block_on(self.recv()).ok()?.0)
    }

    fn take_many(&mut self, batch: &mut Vec<M>, most: usize) {
        batch.extend(self.take());
        let more = iter::from_fn(|| Some(self.try_recv().ok()?.0));
        batch.extend(more.take(most - 1));
    }
}
