//! The pool that people write first: one lock, one condition variable, a deque for each priority.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use tokio::task::yield_now;

use super::replies::Request;
use super::typed::{Ask, Crew, Fire, Queue};
use crate::contender::{Contender, Kind, Priority, Serve, Shape, Task};

pub(crate) enum CondvarDeques {}

impl Contender for CondvarDeques {
    const NAME: &'static str = "condvar-deques";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "std's Mutex and Condvar around four VecDeques of typed messages \
        that are bounded each; a wake only if a worker sleeps. `call_async` holds the lock for a \
        push and yields to the runtime while the lane is full.";

    type Tasks<T: Task> = Fire<Threads<T>>;
    type Calls<S: Serve> = Ask<Threads<Request>>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        Fire::start(shape)
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        Ask::start(shape, serve)
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
            lanes.asleep += 1;
            lanes = self
                .messages
                .wait(lanes)
                .expect("nobody panics under this lock");
            lanes.asleep -= 1;
        }
    }
}

impl<M: Send + 'static> Queue<M> for Threads<M> {
    fn start(shape: Shape, handle: impl Fn(M) + Clone + Send + Sync + 'static) -> Self {
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
            let (shared, handle) = (Arc::clone(&shared), handle.clone());
            move || {
                while let Some(message) = shared.take() {
                    handle(message);
                }
            }
        });
        Self { shared, crew }
    }

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
