//! The naive priority pool: one lock, one condition variable, a heap.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use tokio::task::yield_now;

use super::{
    replies::Request,
    typed::{Ask, Carrier, Crew, Fire, Life, Queue, Source},
};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

pub(crate) enum CondvarHeap {}

impl Contender for CondvarHeap {
    const NAME: &'static str = "condvar-heap";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "std's Mutex and Condvar around a BinaryHeap of typed messages, \
        first in, first out within a priority by a sequence number, each priority bounded; a wake \
        only if a worker sleeps. `call_async` yields to the runtime while its priority is full. A \
        batch is taken under one lock.";

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

const PRIORITIES: usize = 4;

/// A message and its place in the order: the higher priority first, then the older one.
struct Entry<M> {
    place: (Priority, Reverse<u64>),
    message: M,
}

impl<M> Ord for Entry<M> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl<M> PartialOrd for Entry<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> PartialEq for Entry<M> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<M> Eq for Entry<M> {}

struct State<M> {
    heap: BinaryHeap<Entry<M>>,
    /// The number of the next message.
    sequence: u64,
    /// How many messages of each priority wait, and how many may.
    waiting: [usize; PRIORITIES],
    capacity: usize,
    /// Workers that wait for a message.
    asleep: usize,
    /// Submitters that wait for room in a priority.
    blocked: [usize; PRIORITIES],
    closed: bool,
}

struct Shared<M> {
    state: Mutex<State<M>>,
    messages: Condvar,
    room: [Condvar; PRIORITIES],
}

pub(crate) struct Threads<M> {
    shared: Arc<Shared<M>>,
    crew: Crew,
}

impl<M> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().expect("nobody panics under this lock")
    }

    /// Pushes, with the lock held, which is let go before a worker is woken.
    fn push(&self, mut state: MutexGuard<'_, State<M>>, message: M, priority: Priority) {
        let place = (priority, Reverse(state.sequence));
        state.sequence += 1;
        state.waiting[priority as usize] += 1;
        state.heap.push(Entry { place, message });
        let wake = state.asleep > 0;
        drop(state);
        if wake {
            self.messages.notify_one();
        }
    }

    /// The next message; none once the pool is closed and empty.
    fn take(&self) -> Option<M> {
        let mut state = self.lock();
        loop {
            if let Some(Entry { place, message }) = state.heap.pop() {
                let priority = place.0 as usize;
                state.waiting[priority] -= 1;
                let wake = state.blocked[priority] > 0;
                drop(state);
                if wake {
                    self.room[priority].notify_one();
                }
                return Some(message);
            }
            if state.closed {
                return None;
            }
            state = self.sleep(state);
        }
    }

    /// Up to `most` messages, the highest priority first; none once the pool is closed and empty.
    fn take_many(&self, batch: &mut Vec<M>, most: usize) {
        let mut state = self.lock();
        loop {
            let mut freed = [0; PRIORITIES];
            while batch.len() < most
                && let Some(Entry { place, message }) = state.heap.pop()
            {
                batch.push(message);
                state.waiting[place.0 as usize] -= 1;
                freed[place.0 as usize] += 1;
            }
            if state.closed || !batch.is_empty() {
                let blocked = state.blocked;
                drop(state);
                for (priority, room) in self.room.iter().enumerate() {
                    let wake = freed[priority].min(blocked[priority]);
                    (0..wake).for_each(|_| room.notify_one());
                }
                return;
            }
            state = self.sleep(state);
        }
    }

    /// Waits until there may be a message.
    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State<M>>) -> MutexGuard<'a, State<M>> {
        state.asleep += 1;
        let mut state = self
            .messages
            .wait(state)
            .expect("nobody panics under this lock");
        state.asleep -= 1;
        state
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
            state: Mutex::new(State {
                heap: BinaryHeap::with_capacity(PRIORITIES * shape.capacity),
                sequence: 0,
                waiting: [0; PRIORITIES],
                capacity: shape.capacity,
                asleep: 0,
                blocked: [0; PRIORITIES],
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
        let mut state = self.shared.lock();
        while state.waiting[priority as usize] == state.capacity {
            state.blocked[priority as usize] += 1;
            state = self.shared.room[priority as usize]
                .wait(state)
                .expect("nobody panics under this lock");
            state.blocked[priority as usize] -= 1;
        }
        self.shared.push(state, message, priority);
    }

    async fn send_async(&self, message: M, priority: Priority) {
        loop {
            // The guard lives in a block of its own: it must not be held across the await.
            {
                let state = self.shared.lock();
                if state.waiting[priority as usize] < state.capacity {
                    return self.shared.push(state, message, priority);
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
