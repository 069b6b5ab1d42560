//! What happens to a pool, told to whoever subscribed. Off the hot path.

use std::time::Duration;

use crate::schedule::{LoadBalancingStrategy, SchedulingStrategy};
use crate::sync::Mutex;

/// Events that a subscriber has not taken yet; beyond this it loses the newest.
const BACKLOG: usize = 1_024;

/// Something that happened to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolEvent {
    /// The service panicked. The worker goes on with fresh state.
    WorkerPanicked {
        /// The worker's number.
        worker: usize,
        /// The panic's message.
        message: String,
    },
    /// A worker was added, or took the place of one that had ended.
    WorkerStarted {
        /// The worker's number.
        worker: usize,
    },
    /// A worker ended: it was removed, the pool closes, its runtime is gone, or the service panicked while it made
    /// new state.
    WorkerStopped {
        /// The worker's number.
        worker: usize,
        /// Why, if it was not the pool's wish.
        reason: Option<String>,
    },
    /// Tasks wait elsewhere from now on.
    StrategyChanged {
        /// The strategy before.
        from: SchedulingStrategy,
        /// The strategy now.
        to: SchedulingStrategy,
        /// Changes so far.
        epoch: u64,
    },
    /// Another rule decides which worker takes the tasks of a key.
    BalancingChanged {
        /// The rule before.
        from: LoadBalancingStrategy,
        /// The rule now; [`AdaptiveHybrid`](LoadBalancingStrategy::AdaptiveHybrid) if the pool is to
        /// choose one by itself.
        to: LoadBalancingStrategy,
        /// Why, in a sentence.
        why: String,
    },
    /// Workers claim nothing from this lane until it is resumed.
    LanePaused {
        /// The lane.
        lane: usize,
    },
    /// Workers claim from this lane again.
    LaneResumed {
        /// The lane.
        lane: usize,
    },
    /// The pool accepts nothing more.
    Closed,
}

/// The events of a pool from the moment of subscription. Receive from a thread or await.
#[derive(Debug)]
pub struct EventStream {
    receiver: flume::Receiver<PoolEvent>,
}

impl EventStream {
    /// The next event; `None` once the pool is gone.
    ///
    /// # Blocking
    /// Until there is one.
    pub fn recv(&self) -> Option<PoolEvent> {
        self.receiver.recv().ok()
    }

    /// The next event; `None` when none came in time or the pool is gone.
    ///
    /// # Blocking
    /// For at most `limit`.
    pub fn recv_timeout(&self, limit: Duration) -> Option<PoolEvent> {
        self.receiver.recv_timeout(limit).ok()
    }

    /// The next event; `None` once the pool is gone.
    pub async fn recv_async(&self) -> Option<PoolEvent> {
        self.receiver.recv_async().await.ok()
    }

    /// An event that is there already.
    pub fn try_recv(&self) -> Option<PoolEvent> {
        self.receiver.try_recv().ok()
    }
}

/// All subscribers of a pool.
#[derive(Debug)]
pub(crate) struct Events {
    subscribers: Mutex<Vec<flume::Sender<PoolEvent>>>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            subscribers: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        let (sender, receiver) = flume::bounded(BACKLOG);
        self.subscribers.lock().push(sender);
        EventStream { receiver }
    }

    pub(crate) fn emit(&self, event: PoolEvent) {
        self.subscribers.lock().retain(|subscriber| {
            !matches!(
                subscriber.try_send(event.clone()),
                Err(flume::TrySendError::Disconnected(_))
            )
        });
    }
}
