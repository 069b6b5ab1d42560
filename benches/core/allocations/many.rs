//! The ways in that take many tasks: batches and streams.

use std::convert::Infallible;

use lanepool::{ProcessingTask, StreamItem};
use lanepool_bench::Result;

use super::{Bed, expect_double, ways::WINDOW};
use lanepool_bench::work::sum_below;

/// Tasks of a batch call.
const BATCH: u64 = 100;

pub(super) fn execute_batch(bed: &Bed, tasks: u64) -> Result<u64> {
    let allocations = bed.steady_async(tasks, async |tasks| {
        for first in (0..tasks).step_by(BATCH as usize) {
            let numbers = first..tasks.min(first + BATCH);
            let replies = bed.pool.execute_batch(numbers.clone()).await;
            check_batch(numbers, replies)?;
        }
        Ok(())
    })?;
    Ok(allocations.saturating_sub(tasks.div_ceil(BATCH)))
}

pub(super) fn execute_batch_blocking(bed: &Bed, tasks: u64) -> Result<u64> {
    let allocations = bed.steady(tasks, |tasks| {
        for first in (0..tasks).step_by(BATCH as usize) {
            let numbers = first..tasks.min(first + BATCH);
            let replies = bed.pool.execute_batch_blocking(numbers.clone());
            check_batch(numbers, replies)?;
        }
        Ok(())
    })?;
    Ok(allocations.saturating_sub(tasks.div_ceil(BATCH)))
}

fn check_batch<E: std::fmt::Display>(
    numbers: std::ops::Range<u64>,
    replies: Vec<std::result::Result<u64, E>>,
) -> Result<()> {
    let expected = numbers.end - numbers.start;
    if replies.len() as u64 != expected {
        return Err(format!("a batch of {expected} tasks had {} results", replies.len()).into());
    }
    numbers
        .zip(replies)
        .try_for_each(|(number, reply)| expect_double(number, reply))
}

/// The stream is made before the count begins: a stream lives as long as its caller likes.
pub(super) fn stream(bed: &Bed, tasks: u64) -> Result<u64> {
    let mut stream = bed.pool.stream(WINDOW as usize);
    bed.steady_async(tasks, async |tasks| {
        let (mut next, mut sum) = (0, 0);
        loop {
            while stream.has_room() && next < tasks {
                let task = ProcessingTask::new(next).message_id(next);
                let submitted = stream.submit(task).await;
                submitted.map_err(|error| error.to_string())?;
                next += 1;
            }
            match stream.next().await {
                Some(item) => sum += check_item(&item)?,
                None => return expect_all(sum, tasks),
            }
        }
    })
}

pub(super) fn stream_blocking(bed: &Bed, tasks: u64) -> Result<u64> {
    let mut stream = bed.pool.stream(WINDOW as usize);
    bed.steady(tasks, |tasks| {
        let (mut next, mut sum) = (0, 0);
        loop {
            while stream.has_room() && next < tasks {
                let task = ProcessingTask::new(next).message_id(next);
                stream
                    .submit_blocking(task)
                    .map_err(|error| error.to_string())?;
                next += 1;
            }
            match stream.next_blocking() {
                Some(item) => sum += check_item(&item)?,
                None => return expect_all(sum, tasks),
            }
        }
    })
}

/// Checks that a result belongs to the task it says, and returns that task's number.
fn check_item(item: &StreamItem<u64, Infallible>) -> Result<u64> {
    let number = item
        .context
        .message_id()
        .ok_or("a result came without its task's number")?;
    match &item.result {
        Ok(reply) => expect_double(number, Ok::<_, Infallible>(*reply)).map(|()| number),
        Err(error) => Err(format!("the request {number} failed: {error}").into()),
    }
}

fn expect_all(sum: u64, tasks: u64) -> Result<()> {
    let expected = sum_below(tasks);
    if sum == expected {
        Ok(())
    } else {
        Err(format!("the numbers of the results add up to {sum}, not {expected}").into())
    }
}
