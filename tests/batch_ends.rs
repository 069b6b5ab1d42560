//! The end of a pool while batches linger, run and wait: everybody is answered and everything is accounted for.

mod common;

use std::time::Duration;

use common::batches::{await_lingering, lingering};
use common::clerk::{Ask, Office, Told, Trouble, Wish, shorts};
use common::{Gate, Kind, LONG, assert_at_rest, builder, config, drain, for_both_kinds, lanes};
use lanepool::{CloseReason, OverflowPolicy, SubmitError, TaskPriority, Ticket};

for_both_kinds!(
    a_drain_takes_what_lingers_along,
    a_shutdown_without_time_accounts_for_what_lingers,
    a_shutdown_out_of_time_tells_of_the_batch_that_runs,
    a_shutdown_in_time_waits_for_the_batch_that_runs,
    a_dropped_pool_runs_what_lingers,
    a_dropped_pool_finishes_what_runs_and_abandons_what_waits,
    a_pool_that_is_dropped_within_a_batch_ends,
);

/// The only worker runs a batch of three until the gate opens.
fn hold(office: &Office) -> (Gate, Vec<Ticket<Told, Trouble>>) {
    assert_eq!(office.pool.workers(), 1, "two might share the three");
    let gate = Gate::new();
    let held = office.ask_all([Wish::Hold(gate.clone()), Wish::Echo, Wish::Echo]);
    gate.await_arrivals(1);
    (gate, held)
}

fn a_drain_takes_what_lingers_along(kind: Kind) {
    let office = Office::new(kind, 1, lingering(9));
    let tickets = office.echo_all(4);
    await_lingering(&office.pool, 1);
    drain(&office.pool);
    assert_eq!(shorts(tickets), ["0", "1", "2", "3"]);
    let batches = office.pool.batch_processor().unwrap().statistics();
    assert_eq!(batches.closed(CloseReason::Drain), batches.batches());
    assert_eq!(batches.lingering, 0);
}

/// The batch is run or abandoned, as the worker is quicker than the shutdown or not; never in parts.
fn a_shutdown_without_time_accounts_for_what_lingers(kind: Kind) {
    for _ in 0..50 {
        let office = Office::new(kind, 1, lingering(9));
        let tickets = office.echo_all(4);
        await_lingering(&office.pool, 1);
        let report = office.pool.shutdown_blocking(Duration::ZERO);
        let told = shorts(tickets);
        let abandoned = told.iter().filter(|told| *told == "Abandoned").count();
        assert!(told == ["0", "1", "2", "3"] || abandoned > 0, "{told:?}");
        // What a worker has taken is not handed back.
        let held = report.running.len() + report.claimed as usize;
        assert!(report.returned.len() + held <= 4, "{report:?}");
        let total = drain_again(&office).total();
        assert_eq!(total.completed + total.abandoned, 4);
        assert_eq!(total.abandoned as usize, abandoned);
    }
}

/// The statistics once all workers have ended.
fn drain_again(office: &Office) -> lanepool::WorkerPoolStatistics {
    let report = office.pool.shutdown_blocking(LONG);
    assert!(
        report.running.is_empty() && report.returned.is_empty(),
        "{report:?}"
    );
    assert_at_rest(&report.statistics);
    report.statistics
}

fn a_shutdown_out_of_time_tells_of_the_batch_that_runs(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    let (gate, held) = hold(&office);
    let waiting = office.echo_all(5);
    let report = office.pool.shutdown_blocking(Duration::ZERO);
    assert!(!report.drained);
    let returned: Vec<_> = report.returned.iter().map(|back| back.request.id).collect();
    assert_eq!(returned, [0, 1, 2, 3, 4]);
    assert_eq!(report.running.len() as u64 + report.claimed, 3);
    assert_eq!((report.running[0].worker, report.running[0].lane), (0, 1));
    report.statistics.conserved().unwrap();
    assert_eq!(shorts(held), vec!["Abandoned"; 3]);
    assert_eq!(shorts(waiting), vec!["Abandoned"; 5]);
    gate.open();
    let total = drain_again(&office).total();
    assert_eq!(
        (total.abandoned, total.completed),
        (8, 0),
        "as they were told"
    );
}

fn a_shutdown_in_time_waits_for_the_batch_that_runs(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    let (gate, held) = hold(&office);
    let waiting = office.echo_all(5);
    let ender = {
        let pool = office.pool.clone();
        std::thread::spawn(move || pool.shutdown_blocking(LONG))
    };
    let ask = || Ask {
        id: 9,
        wish: Wish::Echo,
    };
    while !matches!(office.pool.try_submit(ask()), Err(SubmitError::Closed(_))) {
        std::thread::yield_now();
    }
    assert!(held.iter().chain(&waiting).all(|ticket| !ticket.is_done()));
    gate.open();
    let report = ender.join().unwrap();
    assert!(report.drained && report.claimed == 0);
    assert_at_rest(&report.statistics);
    assert_eq!(shorts(held), ["0", "1", "2"]);
    assert_eq!(shorts(waiting), ["0", "1", "2", "3", "4"]);
}

fn a_dropped_pool_runs_what_lingers(kind: Kind) {
    let office = Office::new(kind, 1, lingering(9));
    // All at once: what comes while the worker lingers waits in the lane, and a dropped pool abandons that.
    let scheduler = office.pool.scheduler();
    scheduler.pause(TaskPriority::Normal);
    let tickets = office.echo_all(4);
    scheduler.resume(TaskPriority::Normal);
    await_lingering(&office.pool, 1);
    drop(office);
    assert_eq!(shorts(tickets), ["0", "1", "2", "3"]);
}

fn a_dropped_pool_finishes_what_runs_and_abandons_what_waits(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    let (gate, held) = hold(&office);
    let waiting = office.echo_all(5);
    drop(office);
    assert_eq!(shorts(waiting), vec!["Abandoned"; 5]);
    gate.open();
    assert_eq!(shorts(held), ["0", "1", "2"]);
}

fn a_pool_that_is_dropped_within_a_batch_ends(kind: Kind) {
    let office = Office::new(kind, 1, lingering(2));
    let last = std::sync::Mutex::new(Some(office.pool.clone()));
    let gate = Gate::new();
    let wait = gate.clone();
    let run = move || {
        wait.pass();
        drop(last.lock().unwrap().take());
    };
    let tickets = office.ask_all([Wish::Run(std::sync::Arc::new(run)), Wish::Echo]);
    gate.await_arrivals(1);
    drop(office);
    gate.open();
    assert_eq!(shorts(tickets), ["0", "1"]);
}

/// A runtime that ends takes the workers along; what they held is told so.
#[cfg(feature = "tokio")]
mod without_a_runtime {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap()
    }

    fn office(runtime: &tokio::runtime::Runtime) -> Office {
        let builder = builder(config(1).batching(lingering(3))).runtime(runtime.handle().clone());
        Office::build_here(Kind::Tasks, builder, u64::MAX).unwrap()
    }

    #[test]
    fn what_lingers_is_abandoned() {
        common::watched(|| {
            let runtime = runtime();
            let office = office(&runtime);
            let tickets = office.echo_all(2);
            await_lingering(&office.pool, 1);
            runtime.shutdown_background();
            assert_eq!(shorts(tickets), ["Abandoned"; 2]);
            assert_eq!(drain_again(&office).total().abandoned, 2);
            let batches = office.pool.batch_processor().unwrap().statistics();
            assert_eq!((batches.batches(), batches.lingering), (0, 0));
        });
    }

    #[test]
    fn what_lingers_by_the_runtimes_timer_is_abandoned() {
        common::watched(|| {
            let runtime = runtime();
            let batching = lingering(3).batch_timeout(LONG).max_batch_wait(LONG);
            let builder = builder(config(1).batching(batching)).runtime(runtime.handle().clone());
            let service = lanepool::async_batch_fn(|batch: lanepool::Batch<u32>| async move {
                Ok::<_, ()>(batch.answer_each(|n, _| Ok(n)))
            });
            let pool = builder.build_batches_async(service).unwrap();
            let tickets = [1, 2].map(|n| pool.try_submit(n).unwrap());
            await_lingering(&pool, 1);
            runtime.shutdown_background();
            for ticket in tickets {
                assert_eq!(ticket.wait(), Err(lanepool::ProcessingError::Abandoned));
            }
            assert_eq!(pool.batch_processor().unwrap().statistics().lingering, 0);
            let report = pool.shutdown_blocking(LONG);
            assert_at_rest(&report.statistics);
        });
    }

    #[test]
    fn what_runs_and_what_waits_is_abandoned() {
        common::watched(|| {
            let runtime = runtime();
            let office = office(&runtime);
            let (_gate, held) = hold(&office);
            let waiting = office.echo_all(5);
            runtime.shutdown_background();
            assert_eq!(shorts(held), vec!["Abandoned"; 3]);
            assert_eq!(shorts(waiting), vec!["Abandoned"; 5]);
            assert_eq!(drain_again(&office).total().abandoned, 8);
        });
    }

    #[test]
    fn a_runtime_without_a_timer_runs_no_batches_that_linger() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let build = |timeout| {
            let batching = lingering(3).batch_timeout(timeout);
            let config = config(1)
                .batching(batching)
                .lanes(lanes(4, OverflowPolicy::Wait));
            let builder = builder(config).runtime(runtime.handle().clone());
            Office::build_here(Kind::Tasks, builder, u64::MAX).map(drop)
        };
        let error = build(Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, lanepool::BuildError::NoTimer), "{error}");
        build(Duration::ZERO).unwrap();
    }
}
