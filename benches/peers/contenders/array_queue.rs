//! Threads on crossbeam's ArrayQueue, which park while it is empty.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    thread::{self, Thread},
};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::{Backoff, CachePadded};
use tokio::task::yield_now;

use super::{
    replies::Request,
    typed::{Ask, Carrier, Crew, Fire, Life, Queue, Source},
};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

pub(crate) enum ArrayQueuePark {}

impl Contender for ArrayQueuePark {
    const NAME: &'static str = "array-queue";
    const KIND: Kind = Kind::Plain;
    const NOTE: &'static str = "An ArrayQueue of typed messages; workers that find it empty, and \
        submitters that find it full, back off as crossbeam does, then park in a list that is only \
        locked when somebody is in it. `call_async` yields to the runtime while the queue is full. \
        A batch is what a worker finds at one go.";

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

struct Shared<M> {
    queue: ArrayQueue<M>,
    /// Workers that wait for a message.
    empty: Lounge,
    /// Submitters that wait for a place.
    full: Lounge,
    closed: AtomicBool,
}

pub(crate) struct Threads<M> {
    shared: Arc<Shared<M>>,
    crew: Crew,
}

impl<M> Shared<M> {
    /// Pushes if there is a place, and wakes a worker that waits.
    fn offer(&self, message: M) -> Result<(), M> {
        self.queue.push(message)?;
        self.empty.wake_one();
        Ok(())
    }

    /// The next message; none once the pool is closed and empty.
    fn take(&self) -> Option<M> {
        let message = self.empty.wait_until(|| match self.queue.pop() {
            Some(message) => Some(Some(message)),
            // Nothing is pushed after closing, so what was pushed before it is seen by this second look.
            None if self.closed.load(Ordering::Acquire) => Some(self.queue.pop()),
            None => None,
        })?;
        self.full.wake_one();
        Some(message)
    }
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, life: impl Life<M>) -> Self {
        let shared = Arc::new(Shared {
            queue: ArrayQueue::new(shape.capacity),
            empty: Lounge::default(),
            full: Lounge::default(),
            closed: AtomicBool::new(false),
        });
        let crew = Crew::start(shape.workers, || {
            let (shared, life) = (Arc::clone(&shared), life.clone());
            move || life.live(shared)
        });
        Self { shared, crew }
    }
}

impl<M: Send + 'static> Carrier<M> for Threads<M> {
    fn send(&self, message: M, _: Priority) {
        let Err(refused) = self.shared.offer(message) else {
            return;
        };
        let mut refused = Some(refused);
        self.shared.full.wait_until(|| {
            refused = self.shared.offer(refused.take()?).err();
            refused.is_none().then_some(())
        });
    }

    async fn send_async(&self, message: M, _: Priority) {
        let mut message = message;
        while let Err(refused) = self.shared.offer(message) {
            message = refused;
            yield_now().await;
        }
    }

    fn finish(self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.empty.wake_all();
        self.crew.join();
    }
}

impl<M> Source<M> for Arc<Shared<M>> {
    fn take(&mut self) -> Option<M> {
        Shared::take(self)
    }

    fn take_many(&mut self, batch: &mut Vec<M>, most: usize) {
        batch.extend(Shared::take(self));
        while batch.len() < most
            && let Some(message) = self.queue.pop()
        {
            batch.push(message);
            self.full.wake_one();
        }
    }
}

/// Where threads park until something has changed.
///
/// A thread enters the list, then tries once more, then parks; whoever changes something does so, then looks
/// whether anybody is in the list. A sequentially consistent fence stands between the two steps on either
/// side, so one of them sees the other, and no wake-up is lost.
#[derive(Default)]
struct Lounge {
    /// How many are in the list; changed under its lock, read without.
    count: CachePadded<AtomicUsize>,
    threads: Mutex<Vec<Thread>>,
}

impl Lounge {
    /// Tries until there is a result: at once, backing off, and after each wake.
    fn wait_until<R>(&self, mut attempt: impl FnMut() -> Option<R>) -> R {
        let backoff = Backoff::new();
        loop {
            if let Some(result) = attempt() {
                return result;
            }
            if backoff.is_completed() {
                break;
            }
            backoff.snooze();
        }
        loop {
            self.enter();
            fence(Ordering::SeqCst);
            if let Some(result) = attempt() {
                self.leave();
                return result;
            }
            thread::park();
            // Parking may end by itself, and then this thread is still in the list.
            self.leave();
            if let Some(result) = attempt() {
                return result;
            }
        }
    }

    fn wake_one(&self) {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let woken = {
            let mut threads = self.lock();
            let woken = threads.pop();
            self.count.store(threads.len(), Ordering::Relaxed);
            woken
        };
        if let Some(thread) = woken {
            thread.unpark();
        }
    }

    fn wake_all(&self) {
        fence(Ordering::SeqCst);
        let mut threads = self.lock();
        self.count.store(0, Ordering::Relaxed);
        for thread in threads.drain(..) {
            thread.unpark();
        }
    }

    fn enter(&self) {
        let mut threads = self.lock();
        threads.push(thread::current());
        self.count.store(threads.len(), Ordering::Relaxed);
    }

    fn leave(&self) {
        let myself = thread::current().id();
        let mut threads = self.lock();
        threads.retain(|thread| thread.id() != myself);
        self.count.store(threads.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.threads.lock().expect("nobody panics under this lock")
    }
}
