//! Threads on a crossfire channel.

use crossfire::{MAsyncTx, MTx, mpmc};

use super::{
    replies::Request,
    typed::{Ask, Crew, Fire, Queue},
};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

pub(crate) enum Crossfire {}

impl Contender for Crossfire {
    const NAME: &'static str = "crossfire";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "Its bounded MPMC array flavour with typed messages, blocking \
        receivers, `MTx::send`, and `MAsyncTx::send` for async callers; back-off set by its own \
        `detect_backoff_cfg`.";

    type Tasks<T: Task> = Fire<Threads<T>>;
    type Calls<S: Serve> = Ask<Threads<Request>>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        Fire::start(shape)
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        Ask::start(shape, serve)
    }
}

pub(crate) struct Threads<M: 'static> {
    sender: MTx<mpmc::Array<M>>,
    async_sender: MAsyncTx<mpmc::Array<M>>,
    crew: Crew,
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, handle: impl Fn(M) + Clone + Send + Sync + 'static) -> Self {
        crossfire::detect_backoff_cfg();
        let (sender, receiver) = mpmc::bounded_blocking(shape.capacity);
        let crew = Crew::start(shape.workers, || {
            let (receiver, handle) = (receiver.clone(), handle.clone());
            move || {
                while let Ok(message) = receiver.recv() {
                    handle(message);
                }
            }
        });
        Self {
            async_sender: sender.clone().into_async(),
            sender,
            crew,
        }
    }

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
