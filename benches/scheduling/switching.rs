//! The strategy and the balancing are changed 1,000 times while two threads submit; is anything lost or out of
//! order, and how does the throughput compare with a pool that is left alone?
//!
//! The pool starts as `HashBased`, so tasks with a key keep its order under every strategy that follows.
//! Half of the tasks have one of 64 keys, each thread keys of its own; the others have none. One of the
//! threads makes the changes, in between its tasks, and the other one submits all the while.

use std::{
    thread,
    time::{Duration, Instant},
};

use lanepool::{LoadBalancingStrategy, ProcessingTask, SchedulingStrategy, WorkerPoolConfig};
use lanepool_bench::{
    Bound, Report, Result, compare::ratio::beside, random::scatter, samples, work::sum_below,
};

use crate::{
    loads::WORKERS,
    service::{Clerk, Desk, Order, Pool, Work},
};

const SWITCHES: u64 = 1_000;
const PRODUCERS: usize = 2;
/// Of each producer.
const KEYS: usize = 64;

pub(crate) fn measure(report: &mut Report) {
    let rounds = report.choose(7, 3);
    let tasks = SWITCHES * report.choose(200, 50);
    let (mut switched, mut steady) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        eprintln!("switching: round {} of {rounds}", round + 1);
        match (run(tasks, SWITCHES), run(tasks, 0)) {
            (Ok(with), Ok(without)) => {
                switched.push(with);
                steady.push(without);
            }
            (Err(error), _) | (_, Err(error)) => {
                return report.fail("strategy changed under load", &error);
            }
        }
    }
    let ratio = beside(&switched, &steady);
    let changed = format!("strategy and balancing changed {SWITCHES} times under load");
    report.record(
        format!("{changed}: tasks lost or before their turn by key"),
        0.0,
        "tasks",
        Bound::AtMost(0.0),
    );
    for (name, values) in [
        (changed.clone(), &mut switched),
        ("HashBased left alone".to_owned(), &mut steady),
    ] {
        report.record(
            format!("{name}: throughput"),
            samples::median(values),
            "tasks/s",
            Bound::None,
        );
    }
    report.record(
        format!("{changed}: beside HashBased left alone"),
        ratio,
        "x",
        Bound::None,
    );
}

/// Tasks a second, all checked. An error if one was lost or started before its turn.
fn run(tasks: u64, switches: u64) -> Result<f64> {
    let config = WorkerPoolConfig::builder()
        .workers(WORKERS)
        .scheduling_strategy(SchedulingStrategy::HashBased)
        .build()?;
    let desk = Desk::new(PRODUCERS * KEYS, 0);
    let clerk = Clerk {
        desk: desk.clone(),
        slow: None,
    };
    let pool = Pool::with_config(clerk, config)?;
    let every = tasks.checked_div(switches);
    let produce = |producer: usize| -> Result<()> {
        let work = Work::busy(Duration::from_nanos(500));
        let mut places = [0; KEYS];
        for number in 0..tasks {
            let random = scatter(number) as usize;
            let turn = random.is_multiple_of(2).then(|| {
                let key = random / 2 % KEYS;
                places[key] += 1;
                (producer * KEYS + key, places[key] - 1)
            });
            let mut task = ProcessingTask::new(Order { number, work, turn });
            if let Some((key, _)) = turn {
                task = task.key(key as u64);
            }
            desk.hand_in();
            pool.spawn_blocking(task)
                .map_err(|error| error.to_string())?;
            if producer == 0 && every.is_some_and(|every| number % every == every - 1) {
                change(&pool, number / every.unwrap_or(1));
            }
        }
        Ok(())
    };
    let began = Instant::now();
    thread::scope(|scope| {
        let producers = [0, 1].map(|producer| {
            let produce = &produce;
            scope.spawn(move || produce(producer))
        });
        producers
            .into_iter()
            .try_for_each(|producer| producer.join().expect("a producer does not panic"))
    })?;
    desk.await_level(0)?;
    let took = began.elapsed();
    let epoch = pool.scheduler().epoch();
    if epoch != switches {
        return Err(format!("the strategy was changed {epoch} times, not {switches}").into());
    }
    let all = PRODUCERS as u64 * tasks;
    desk.close(&pool, all, PRODUCERS as u64 * sum_below(tasks), true)?;
    Ok(all as f64 / took.as_secs_f64())
}

/// Every pair of the strategies has its turn.
fn change(pool: &Pool, number: u64) {
    let strategies = SchedulingStrategy::ALL;
    let balancings = LoadBalancingStrategy::ALL;
    let number = number as usize;
    pool.scheduler()
        .set_strategy(strategies[number % strategies.len()]);
    pool.load_balancer()
        .set_strategy(balancings[number / strategies.len() % balancings.len()]);
}
