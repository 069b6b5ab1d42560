//! Threads on an async-priority-channel.

use std::thread;

use async_priority_channel::Sender;
use futures_lite::future::block_on;

use super::{
    replies::Request,
    typed::{Ask, Crew, Fire, Queue},
};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

/// A channel of this kind has one bound for all priorities.
const LANES: usize = 4;

pub(crate) enum AsyncPriorityChannel {}

impl Contender for AsyncPriorityChannel {
    const NAME: &'static str = "async-priority-channel";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "A channel of typed messages with one bound, four times that of a \
        lane, for all priorities; threads that block on `recv`, since it has no other. Its heap \
        keeps no order within a priority.";

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
    sender: Sender<M, Priority>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, handle: impl Fn(M) + Clone + Send + Sync + 'static) -> Self {
        let bound = (LANES * shape.capacity) as u64;
        let (sender, receiver) = async_priority_channel::bounded(bound);
        let crew = Crew::start(shape.workers, || {
            let (receiver, handle) = (receiver.clone(), handle.clone());
            move || {
                while let Ok((message, _)) = block_on(receiver.recv()) {
                    handle(message);
                }
            }
        });
        Self { sender, crew }
    }

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
