//! The table of all ways in, and those that take one task at a time, each as a loop that checks its replies.

use std::{sync::Arc, thread};

use lanepool::{SubmitError, TaskContext, TaskPriority};
use lanepool_bench::{Result, alloc::Phase};
use tokio::sync::Semaphore;

use super::{Bed, LAPS, expect_double, many, median};
use lanepool_bench::work::PATIENCE;

/// One way in.
pub(super) struct Way {
    pub(super) name: &'static str,
    /// Whether to give the pool lanes so short that the caller finds them full all the time.
    pub(super) short_lanes: bool,
    /// Runs laps of this many tasks and returns how many allocations a lap makes, less those that belong to
    /// the caller.
    pub(super) run: fn(&Bed, u64) -> Result<u64>,
}

const fn way(name: &'static str, run: fn(&Bed, u64) -> Result<u64>) -> Way {
    Way {
        name,
        short_lanes: false,
        run,
    }
}

const fn way_full(name: &'static str, run: fn(&Bed, u64) -> Result<u64>) -> Way {
    Way {
        name,
        short_lanes: true,
        run,
    }
}

pub(super) const WAYS: &[Way] = &[
    way("execute", execute),
    way("execute, 64 clients", |bed, tasks| clients(bed, tasks, 64)),
    way("execute, 1,024 clients", |bed, tasks| {
        clients(bed, tasks, 1024)
    }),
    way("execute_blocking", execute_blocking),
    way("execute_timeout", execute_timeout),
    way("try_submit and wait", try_submit_wait),
    way("try_submit and wait_timeout", try_submit_wait_timeout),
    way("try_submit and detach", try_submit_detach),
    way("submit and await", submit_await),
    way_full("submit and await, lane full", submit_await),
    way("submit_blocking and wait", submit_blocking_wait),
    way_full("submit_blocking and wait, lane full", submit_blocking_wait),
    way("try_spawn", try_spawn),
    way("spawn", spawn),
    way_full("spawn, lane full", spawn),
    way("spawn_blocking", spawn_blocking),
    way_full("spawn_blocking, lane full", spawn_blocking),
    way("execute_batch, above its Vec", many::execute_batch),
    way_full(
        "execute_batch, above its Vec, lane full",
        many::execute_batch,
    ),
    way(
        "execute_batch_blocking, above its Vec",
        many::execute_batch_blocking,
    ),
    way("stream, submit and next", many::stream),
    way(
        "stream, submit_blocking and next_blocking",
        many::stream_blocking,
    ),
];

const PRIORITY: TaskPriority = TaskPriority::Normal;
/// Tickets held at a time, and tasks outstanding in a stream.
pub(super) const WINDOW: u64 = 64;

fn execute(bed: &Bed, tasks: u64) -> Result<u64> {
    bed.steady_async(tasks, async |tasks| {
        for number in 0..tasks {
            expect_double(
                number,
                bed.pool
                    .execute(number, PRIORITY, TaskContext::default())
                    .await,
            )?;
        }
        Ok(())
    })
}

/// Clients on the runtime's own threads. They are made before the count begins, and begin and end each lap
/// together, by semaphores, which allocate nothing.
fn clients(bed: &Bed, tasks: u64, clients: u64) -> Result<u64> {
    let each = tasks / clients;
    let go = Arc::new(Semaphore::new(0));
    let done = Arc::new(Semaphore::new(0));
    bed.runtime.block_on(async {
        let mut handles = Vec::new();
        for _ in 0..clients {
            let (pool, go, done) = (bed.pool.clone(), Arc::clone(&go), Arc::clone(&done));
            handles.push(tokio::spawn(async move {
                let mut outcome = Ok(());
                for lap in 0..=LAPS {
                    for number in 0..each {
                        let reply = pool.execute(number, PRIORITY, TaskContext::default()).await;
                        outcome = outcome.and(expect_double(number, reply));
                    }
                    done.add_permits(1);
                    if lap < LAPS {
                        go.acquire().await?.forget();
                    }
                }
                outcome
            }));
        }
        // All are there and warm when the first lap is done.
        done.acquire_many(clients as u32).await?.forget();
        let mut laps = [0; LAPS];
        for lap in &mut laps {
            let phase = Phase::start()?;
            go.add_permits(clients as usize);
            done.acquire_many(clients as u32).await?.forget();
            *lap = phase.stop().allocations;
        }
        for handle in handles {
            handle.await??;
        }
        Ok(median(laps))
    })
}

fn execute_blocking(bed: &Bed, tasks: u64) -> Result<u64> {
    bed.steady(tasks, |tasks| {
        (0..tasks).try_for_each(|number| {
            expect_double(
                number,
                bed.pool
                    .execute_blocking(number, PRIORITY, TaskContext::default()),
            )
        })
    })
}

fn execute_timeout(bed: &Bed, tasks: u64) -> Result<u64> {
    bed.steady(tasks, |tasks| {
        (0..tasks).try_for_each(|number| {
            expect_double(
                number,
                bed.pool
                    .execute_timeout(number, PRIORITY, TaskContext::default(), PATIENCE),
            )
        })
    })
}

/// Submits a window of tasks, takes all their replies, and so on.
fn windows<T>(
    bed: &Bed,
    tasks: u64,
    mut submit: impl FnMut(u64) -> std::result::Result<T, SubmitError<u64>>,
    mut take: impl FnMut(u64, T) -> Result<()>,
) -> Result<u64> {
    let mut tickets = Vec::with_capacity(WINDOW as usize);
    bed.steady(tasks, |tasks| {
        let mut next = 0;
        while next < tasks {
            let end = tasks.min(next + WINDOW);
            for number in next..end {
                tickets.push((number, submit(number).map_err(|error| error.to_string())?));
            }
            next = end;
            tickets
                .drain(..)
                .try_for_each(|(number, ticket)| take(number, ticket))?;
        }
        Ok(())
    })
}

fn try_submit_wait(bed: &Bed, tasks: u64) -> Result<u64> {
    windows(
        bed,
        tasks,
        |number| bed.pool.try_submit(number),
        |number, ticket| expect_double(number, ticket.wait()),
    )
}

fn try_submit_wait_timeout(bed: &Bed, tasks: u64) -> Result<u64> {
    windows(
        bed,
        tasks,
        |number| bed.pool.try_submit(number),
        |number, ticket| match ticket.wait_timeout(PATIENCE) {
            Ok(reply) => expect_double(number, reply),
            Err(_ticket) => {
                Err(format!("the request {number} was not answered within {PATIENCE:?}").into())
            }
        },
    )
}

fn try_submit_detach(bed: &Bed, tasks: u64) -> Result<u64> {
    bed.steady(tasks, |tasks| {
        let goal = bed.handled() + tasks;
        for number in 0..tasks {
            persist(number, |number| bed.pool.try_submit(number))?.detach();
        }
        bed.await_handled(goal)
    })
}

fn submit_blocking_wait(bed: &Bed, tasks: u64) -> Result<u64> {
    windows(
        bed,
        tasks,
        |number| bed.pool.submit_blocking(number),
        |number, ticket| expect_double(number, ticket.wait()),
    )
}

fn submit_await(bed: &Bed, tasks: u64) -> Result<u64> {
    let mut tickets = Vec::with_capacity(WINDOW as usize);
    bed.steady_async(tasks, async |tasks| {
        let mut next = 0;
        while next < tasks {
            let end = tasks.min(next + WINDOW);
            for number in next..end {
                let ticket = bed.pool.submit(number).await;
                tickets.push((number, ticket.map_err(|error| error.to_string())?));
            }
            next = end;
            for (number, ticket) in tickets.drain(..) {
                expect_double(number, ticket.await)?;
            }
        }
        Ok(())
    })
}

fn try_spawn(bed: &Bed, tasks: u64) -> Result<u64> {
    bed.steady(tasks, |tasks| {
        let goal = bed.handled() + tasks;
        for number in 0..tasks {
            persist(number, |number| bed.pool.try_spawn(number))?;
        }
        bed.await_handled(goal)
    })
}

fn spawn(bed: &Bed, tasks: u64) -> Result<u64> {
    bed.steady_async(tasks, async |tasks| {
        let goal = bed.handled() + tasks;
        for number in 0..tasks {
            bed.pool
                .spawn(number)
                .await
                .map_err(|error| error.to_string())?;
        }
        bed.await_handled(goal)
    })
}

fn spawn_blocking(bed: &Bed, tasks: u64) -> Result<u64> {
    bed.steady(tasks, |tasks| {
        let goal = bed.handled() + tasks;
        for number in 0..tasks {
            bed.pool
                .spawn_blocking(number)
                .map_err(|error| error.to_string())?;
        }
        bed.await_handled(goal)
    })
}

/// Tries until the lane has room.
fn persist<T>(
    number: u64,
    mut submit: impl FnMut(u64) -> std::result::Result<T, SubmitError<u64>>,
) -> Result<T> {
    let mut request = number;
    loop {
        match submit(request) {
            Ok(accepted) => return Ok(accepted),
            Err(SubmitError::Full(refused)) => request = refused,
            Err(error) => return Err(error.to_string().into()),
        }
        thread::yield_now();
    }
}
