//! The pool that people write first: one lock, one condition variable, a deque for each priority.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use tokio::task::yield_now;

use super::replies::Request;
use super::typed::{Ask, Carrier, Crew, Fire, Life, Queue, Source};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

pub(crate) enum CondvarDeques {}

impl Contender for CondvarDeques {
    const NAME: &'static str = "condvar-deques";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "std's Mutex and Condvar around four VecDeques of typed messages \
        that are bounded each; a wake only if a worker sleeps. `call_async` holds the lock for a \
        push and yields to the runtime while the lane is full. A batch is taken under one lock.";

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

const LANES: usize = 4;

struct Lanes<M> {
    /// By priority, lowest first.
    waiting: [VecDeque<M>; LANES],
    capacity: usize,
    /// Workers that wait for a message.
    asleep: usize,
    /// Submitters that wait for room in a lane.
    blocked: [usize; LANES],
    closed: bool,
}

struct Shared<M> {
    lanes: Mutex<Lanes<M>>,
    messages: Condvar,
    room: [Condvar; LANES],
}

pub(crate) struct Threads<M> {
    shared: Arc<Shared<M>>,
    crew: Crew,
}

impl<M> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, Lanes<M>> {
        self.lanes.lock().expect("nobody panics under this lock")
    }

    /// Pushes, with the lock held, which is let go before a worker is woken.
    fn push(&self, mut lanes: MutexGuard<'_, Lanes<M>>, message: M, lane: usize) {
        lanes.waiting[lane].push_back(message);
        let wake = lanes.asleep > 0;
        drop(lanes);
        if wake {
            self.messages.notify_one();
        }
    }

    /// The next message, highest lane first; none once the pool is closed and empty.
    fn take(&self) -> Option<M> {
        let mut lanes = self.lock();
        loop {
            for lane in (0..LANES).rev() {
                let Some(message) = lanes.waiting[lane].pop_front() else {
                    continue;
                };
                let wake = lanes.blocked[lane] > 0;
                drop(lanes);
                if wake {
                    self.room[lane].notify_one();
                }
                return Some(message);
            }
            if lanes.closed {
                return None;
            }
            lanes = self.sleep(lanes);
        }
    }

    /// Up to `most` messages, highest lane first; none once the pool is closed and empty.
    fn take_many(&self, batch: &mut Vec<M>, most: usize) {
        let mut lanes = self.lock();
        loop {
            let mut freed = [0; LANES];
            for lane in (0..LANES).rev() {
                let count = lanes.waiting[lane].len().min(most - batch.len());
                batch.extend(lanes.waiting[lane].drain(..count));
                freed[lane] = count.min(lanes.blocked[lane]);
            }
            if lanes.closed || !batch.is_empty() {
                drop(lanes);
                for (room, freed) in self.room.iter().zip(freed) {
                    (0..freed).for_each(|_| room.notify_one());
                }
                return;
            }
            lanes = self.sleep(lanes);
        }
    }

    /// Waits until there may be a message.
    fn sleep<'a>(&'a self, mut lanes: MutexGuard<'a, Lanes<M>>) -> MutexGuard<'a, Lanes<M>> {
        lanes.asleep += 1;
        let mut lanes = self
            .messages
            .wait(lanes)
            .expect("nobody panics under this lock");
        lanes.asleep -= 1;
        lanes
    }
}

impl<M> Source<M> for Arc<Shared<M>> {
    fn take(&mut self) -> Option<M> {
        Shared::take(self)
    }

    fn take_many(&mut self, batch: &mut Vec<M>, most: usize) {
        Shared::take_many(self, batch, most);
    }
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, life: impl Life<M>) -> Self {
        let shared = Arc::new(Shared {
            lanes: Mutex::new(Lanes {
                waiting: std::array::from_fn(|_| VecDeque::with_capacity(shape.capacity)),
                capacity: shape.capacity,
                asleep: 0,
                blocked: [0; LANES],
                closed: false,
            }),
            messages: Condvar::new(),
            room: Default::default(),
        });
        let crew = Crew::start(shape.workers, || {
            let (shared, life) = (Arc::clone(&shared), life.clone());
            move || life.live(shared)
        });
        Self { shared, crew }
    }
}

impl<M: Send + 'static> Carrier<M> for Threads<M> {
    fn send(&self, message: M, priority: Priority) {
        let lane = priority as usize;
        let mut lanes = self.shared.lock();
        while lanes.waiting[lane].len() == lanes.capacity {
            lanes.blocked[lane] += 1;
            lanes = self.shared.room[lane]
                .wait(lanes)
                .expect("nobody panics under this lock");
            lanes.blocked[lane] -= 1;
        }
        self.shared.push(lanes, message, lane);
    }

    async fn send_async(&self, message: M, priority: Priority) {
        let lane = priority as usize;
        loop {
            // The guard lives in a block of its own: it must not be held across the await.
            {
                let lanes = self.shared.lock();
                if lanes.waiting[lane].len() < lanes.capacity {
                    return self.shared.push(lanes, message, lane);
                }
            }
            yield_now().await;
        }
    }

    fn finish(self) {
        self.shared.lock().closed = true;
        self.shared.messages.notify_all();
        self.crew.join();
    }
}
