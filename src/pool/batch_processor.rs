//! How requests form batches, in the owner's hands.

use std::fmt;

use crate::batch::{BatchProcessorConfig, BatchStatistics};
use crate::engine::Engine;

/// The batches of a pool. From [`WorkerPool::batch_processor`](crate::WorkerPool::batch_processor).
///
/// # Examples
/// ```
/// use lanepool::{Batch, WorkerPool, WorkerPoolConfig, batch_fn};
///
/// let service = batch_fn(|batch: Batch<u32>| Ok::<_, ()>(batch.answer_each(|n, _| Ok(n + 1))));
/// let pool = WorkerPool::with_batches(service, WorkerPoolConfig::default())?;
/// assert_eq!(pool.execute_batch_blocking([1, 2, 3]), [Ok(2), Ok(3), Ok(4)]);
///
/// let batches = pool.batch_processor().expect("the pool runs batches");
/// assert_eq!(batches.statistics().requests, 3);
/// assert!(batches.target_size() <= batches.config().batch_size);
/// # Ok::<(), lanepool::BuildError>(())
/// ```
pub struct BatchProcessor<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
}

impl<'a, Q, R, E> BatchProcessor<'a, Q, R, E> {
    /// `None` if the pool runs no batches.
    pub(super) fn of(engine: &'a Engine<Q, R, E>) -> Option<Self> {
        engine.batching_if_any().map(|_| Self { engine })
    }

    /// What the pool was told about batches.
    pub fn config(&self) -> &BatchProcessorConfig {
        &self.engine.batching().config
    }

    /// The size that batches are to have now: what adaptive batching has learnt, or else
    /// [`batch_size`](BatchProcessorConfig::batch_size). With keys, that of the kind of keys that had most
    /// batches.
    pub fn target_size(&self) -> usize {
        self.statistics().target_size
    }

    /// The keys that have requests, in no order; empty where batches are not
    /// [`keyed`](BatchProcessorConfig::keyed). Takes time in proportion to their number, and holds up those who
    /// use a key meanwhile.
    pub fn queues(&self) -> Vec<BatchingQueue> {
        let mut queues = Vec::new();
        if self.config().keyed {
            self.engine.strands.for_each(|key, len, lingers| {
                queues.push(BatchingQueue {
                    key: key.given(),
                    connection_id: key.connection(),
                    len,
                    lingers,
                });
            });
        }
        queues
    }

    /// What came of the batches so far.
    pub fn statistics(&self) -> BatchStatistics {
        self.engine.batching().statistics()
    }
}

/// The requests of one key that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchingQueue {
    /// The key, if it is one.
    pub key: Option<u64>,
    /// The connection, if that is what keeps them apart. Neither is given for requests that have neither.
    pub connection_id: Option<u64>,
    /// How many wait. 0 while the last of them run and are to be done before others of their key.
    pub len: usize,
    /// Whether they linger for more.
    pub lingers: bool,
}

impl<Q, R, E> fmt::Debug for BatchProcessor<'_, Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BatchProcessor")
            .field("config", self.config())
            .finish_non_exhaustive()
    }
}
