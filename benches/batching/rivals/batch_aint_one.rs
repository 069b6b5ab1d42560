//! The crate `batch-aint-one`: a task that forms batches and spawns one for each batch.

use std::{convert::Infallible, sync::Arc};

use batch_aint_one::{Batcher, BatchingPolicy, Limits, OnFull, Processor};
use lanepool_bench::{Result, work::PATIENCE};
use tokio::runtime::{Builder, Runtime};

use super::{LINGER, Rival, SIZE};
use crate::service::{Cost, Emulated, Served, answer_to};

/// So many may wait; more would be refused, and nobody else refuses here.
const QUEUED: usize = 1 << 20;

#[derive(Clone)]
struct Service(Emulated);

impl Processor for Service {
    type Key = ();
    type Input = u64;
    type Output = u64;
    type Error = Infallible;
    type Resources = ();

    async fn acquire_resources(&self, (): ()) -> std::result::Result<(), Infallible> {
        Ok(())
    }

    async fn process(
        &self,
        (): (),
        numbers: impl Iterator<Item = u64> + Send,
        (): (),
    ) -> std::result::Result<Vec<u64>, Infallible> {
        let numbers: Vec<u64> = numbers.collect();
        self.0.run(numbers.len());
        Ok(numbers.into_iter().map(answer_to).collect())
    }
}

/// A batcher of one of the policies, on a runtime of its own.
struct Running {
    batcher: Batcher<Service>,
    runtime: Runtime,
    served: Arc<Served>,
}

impl Running {
    fn start(cost: Cost, policy: BatchingPolicy) -> Result<Self> {
        // One thread runs a batch while the other takes requests in.
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()?;
        let served = Arc::<Served>::default();
        let service = Service(Emulated::new(cost, Arc::clone(&served)));
        let limits = Limits::builder()
            .max_batch_size(SIZE)
            .max_key_concurrency(1)
            .max_key_queued_items(QUEUED)
            .build();
        let batcher = {
            // The batcher's task is spawned where this is called.
            let _inside = runtime.enter();
            Batcher::builder()
                .name("bench")
                .processor(service)
                .limits(limits)
                .batching_policy(policy)
                .build()
        };
        Ok(Self {
            batcher,
            runtime,
            served,
        })
    }

    async fn call(&self, number: u64) -> Result<u64> {
        self.batcher
            .add((), number)
            .await
            .map_err(|error| format!("batch-aint-one did not answer: {error}").into())
    }

    /// It keeps no books. Every call has its answer, so nothing has to be waited for but its threads; its own
    /// shutdown now and then does not end.
    fn finish(self) -> Result<()> {
        drop(self.batcher);
        self.runtime.shutdown_timeout(PATIENCE);
        Ok(())
    }
}

macro_rules! with_policy {
    ($name:ident, $policy:expr, $title:literal, $note:literal) => {
        pub(super) struct $name(Running);

        impl Rival for $name {
            const NAME: &'static str = $title;
            const NOTE: &'static str = $note;

            fn start(cost: Cost) -> Result<Self> {
                Running::start(cost, $policy).map(Self)
            }

            fn call(&self, number: u64) -> impl Future<Output = Result<u64>> + Send {
                self.0.call(number)
            }

            fn served(&self) -> &Served {
                &self.0.served
            }

            fn finish(self, _answered: u64) -> Result<()> {
                self.0.finish()
            }
        }
    };
}

with_policy!(
    Lingering,
    BatchingPolicy::Duration(LINGER, OnFull::Process),
    "batch-aint-one, Duration",
    "The policy that lingers as the others do. One key, and one batch at a time, on a runtime of two threads: one \
     of them runs the batch, the other takes requests in. With one thread, or with `block_in_place` around the \
     batch, it does less."
);
with_policy!(
    AtOnce,
    BatchingPolicy::Immediate,
    "batch-aint-one, Immediate",
    "The policy that never lingers: what has come while a batch ran is the next. With one batch at a time \
     `Balanced` is the same. Otherwise as above."
);
