//! This project.

use lanepool::{BatchProcessorConfig, TaskContext, TaskPriority};
use lanepool_bench::Result;

use super::{LINGER, Rival, SIZE};
use crate::{
    service::{Cost, Served},
    shop::{Request, Shop, config},
};

/// Everything as by default.
pub(super) struct Adaptive(Shop);

impl Rival for Adaptive {
    const NAME: &'static str = "lanepool";
    const NOTE: &'static str = "`execute` on a pool of one worker, everything as by default: adaptive sizes, and a \
        batch does not linger while nothing else waits or runs.";
    const IS_OURS: bool = true;

    fn start(cost: Cost) -> Result<Self> {
        let batching = BatchProcessorConfig::new()
            .batch_size(SIZE)
            .batch_timeout(LINGER);
        Shop::open(cost, config(1, batching)).map(Self)
    }

    async fn call(&self, number: u64) -> Result<u64> {
        call(&self.0, number).await
    }

    fn served(&self) -> &Served {
        self.0.served()
    }

    fn finish(self, answered: u64) -> Result<()> {
        self.0.close(answered, 0, 0)
    }
}

/// Only what the rivals have: a size and a linger.
pub(super) struct Fixed(Shop);

impl Rival for Fixed {
    const NAME: &'static str = "lanepool, fixed";
    const NOTE: &'static str = "The same with the rules of the rivals: fixed size, and a batch that is not full \
        lingers whether anything else runs or not.";
    const IS_OURS: bool = true;

    fn start(cost: Cost) -> Result<Self> {
        let batching = BatchProcessorConfig::new()
            .batch_size(SIZE)
            .batch_timeout(LINGER)
            .enable_adaptive_batching(false)
            .close_when_idle(false);
        Shop::open(cost, config(1, batching)).map(Self)
    }

    async fn call(&self, number: u64) -> Result<u64> {
        call(&self.0, number).await
    }

    fn served(&self) -> &Served {
        self.0.served()
    }

    fn finish(self, answered: u64) -> Result<()> {
        self.0.close(answered, 0, 0)
    }
}

async fn call(shop: &Shop, number: u64) -> Result<u64> {
    let request = Request::now(number);
    shop.pool
        .execute(request, TaskPriority::Normal, TaskContext::new())
        .await
        .map_err(|error| error.to_string().into())
}
