//! Each request of a batch gets its own answer and no other, whatever becomes of the batch and its worker.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::batches::{await_lingering, lingering};
use common::clerk::{Ask, Office, Trap, Wish, shorts};
use common::{EXPECTED, Gate, Kind, LONG, block_on, builder, config, drain, for_both_kinds, lanes};
use lanepool::{
    BatchProcessorConfig, CloseReason, ExecuteError, OverflowPolicy, PoolEvent, ProcessingError,
    ProcessingTask, SubmitError, TaskContext, TaskPriority, Ticket, WorkerHealthStatus,
};

for_both_kinds!(
    callers_of_many_threads_get_their_own_answers,
    a_batch_beyond_the_inline_size_answers_in_order,
    one_items_error_or_panic_is_its_own,
    a_panic_of_the_batch_is_everybodys,
    an_error_of_the_batch_is_everybodys,
    an_error_that_cannot_be_cloned_leaves_nobody_out,
    an_error_whose_drop_panics_is_survived,
    another_number_of_answers_is_nobodys,
    answers_for_nobody_whose_drops_panic_are_survived,
    responses_that_nobody_takes_and_whose_drops_panic_are_survived,
    state_is_made_anew_after_a_panic_alone,
    a_worker_without_new_state_leaves_its_tasks_to_others,
    the_last_worker_without_state_answers_everybody,
    members_that_leave_before_the_close_are_not_run,
    members_that_leave_while_it_runs_cost_the_others_nothing,
    contexts_come_with_their_requests,
    a_list_has_one_number_and_each_batch_its_own,
    an_empty_list_is_fine,
    a_list_larger_than_its_lane_is_fed_through,
    a_list_from_within_a_batch_is_refused,
);

/// Batches of whatever is there.
fn natural(size: usize) -> BatchProcessorConfig {
    BatchProcessorConfig::new()
        .batch_size(size)
        .batch_timeout(Duration::ZERO)
}

/// The next batch of this size is answered as if nothing had been, and nobody counts as busy.
fn assert_works(office: &Office, size: usize) {
    let answers = office.echo_all(size);
    let told = answers.into_iter().map(|ticket| ticket.wait().unwrap());
    let told: Vec<_> = told.map(|told| (told.id, told.size)).collect();
    assert!(told.into_iter().eq((0..size as u64).map(|id| (id, size))));
    await_idle(office);
}

/// A worker is free a moment after its last answer.
fn await_idle(office: &Office) {
    while office.pool.usage_ratio() > 0.0 {
        std::thread::yield_now();
    }
}

fn callers_of_many_threads_get_their_own_answers(kind: Kind) {
    const EACH: u64 = 500;
    let office = Office::new(kind, 3, natural(24));
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let pool = &office.pool;
            scope.spawn(move || {
                for n in 0..EACH {
                    let id = caller * EACH + n;
                    let wish = match n % 7 {
                        3 => Wish::Fail,
                        5 => Wish::Panic,
                        _ => Wish::Echo,
                    };
                    let context = TaskContext::new().with_message_id(id);
                    let ask = Ask { id, wish };
                    let answer = match n % 2 {
                        0 => pool.execute_blocking(ask, TaskPriority::Normal, context),
                        _ => block_on(pool.execute(ask, TaskPriority::High, context)),
                    };
                    match (n % 7, answer) {
                        (3, Err(ExecuteError::Processing(ProcessingError::Failed(trouble)))) => {
                            assert_eq!(trouble.id, id);
                        }
                        (5, Err(ExecuteError::Processing(ProcessingError::Panicked(message)))) => {
                            assert_eq!(message, format!("{id} {EXPECTED}"));
                        }
                        (_, Ok(told)) => assert_eq!((told.id, told.context), (id, context)),
                        (_, other) => panic!("{id} is told {other:?}"),
                    }
                }
            });
        }
    });
    let statistics = drain(&office.pool);
    let batches = office.pool.batch_processor().unwrap().statistics();
    assert_eq!(batches.requests, 4 * EACH);
    assert_eq!(statistics.total().submitted, 4 * EACH);
}

fn a_batch_beyond_the_inline_size_answers_in_order(kind: Kind) {
    for size in [1, 2, 16, 17, 100, 1_024] {
        let office = Office::new(kind, 1, lingering(size));
        assert_works(&office, size);
        drain(&office.pool);
    }
}

fn one_items_error_or_panic_is_its_own(kind: Kind) {
    let office = Office::new(kind, 1, lingering(5));
    let wishes = [Wish::Echo, Wish::Fail, Wish::Panic, Wish::Echo, Wish::Panic];
    let told = shorts(office.ask_all(wishes));
    let panics = |id| format!("panics: {id} {EXPECTED}");
    assert_eq!(told, ["0", "fails for 1", &panics(2), "3", &panics(4)]);
    assert_works(&office, 5);
    let total = drain(&office.pool).total();
    assert_eq!(
        (total.completed, total.failed, total.panicked),
        (2 + 5, 1, 2)
    );
}

fn a_panic_of_the_batch_is_everybodys(kind: Kind) {
    let office = Office::new(kind, 1, lingering(4));
    let events = office.pool.events();
    let wishes = [Wish::Echo, Wish::Echo, Wish::PanicAll, Wish::Echo];
    let told = shorts(office.ask_all(wishes));
    assert_eq!(
        told,
        vec![format!("panics: 2 with 2 answers, {EXPECTED}"); 4]
    );
    assert!(matches!(
        events.recv(),
        Some(PoolEvent::WorkerPanicked { worker: 0, .. })
    ));
    assert_works(&office, 4);
    let statistics = drain(&office.pool);
    assert_eq!(
        statistics.workers[0].panics, 1,
        "one panic, four requests that it failed"
    );
    assert_eq!(statistics.total().panicked, 4);
}

fn an_error_of_the_batch_is_everybodys(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    let told = shorts(office.ask_all([
        Wish::Echo,
        Wish::FailAll(Trap::Nothing),
        Wish::FailAll(Trap::Nothing),
    ]));
    assert_eq!(told, ["fails for 1"; 3]);
    assert_works(&office, 3);
    assert_eq!(drain(&office.pool).total().failed, 3);
}

/// Whoever gets no error gets the panic of its clone.
fn an_error_that_cannot_be_cloned_leaves_nobody_out(kind: Kind) {
    let office = Office::new(kind, 1, lingering(4));
    let wishes = [
        Wish::FailAll(Trap::Clone),
        Wish::Echo,
        Wish::Echo,
        Wish::Echo,
    ];
    let told = shorts(office.ask_all(wishes));
    let panics = format!("panics: a clone, {EXPECTED}");
    let expected = ["fails for 0".to_owned(), panics.clone()];
    assert!(told.iter().all(|told| expected.contains(told)), "{told:?}");
    assert!(told.contains(&panics), "{told:?}");
    assert_works(&office, 4);
    let total = drain(&office.pool).total();
    assert_eq!(total.panicked + total.failed, 4);
}

fn an_error_whose_drop_panics_is_survived(kind: Kind) {
    let office = Office::new(kind, 1, lingering(2));
    for _ in 0..3 {
        let told = shorts(office.ask_all([Wish::FailAll(Trap::Drop), Wish::Echo]));
        assert_eq!(told, ["fails for 0"; 2]);
        await_idle(&office);
        assert_works(&office, 2);
    }
    assert_eq!(drain(&office.pool).total().failed, 6);
}

fn another_number_of_answers_is_nobodys(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    for answered in [0, 1, 2, 4, 30] {
        let tickets = office.ask_all([Wish::Echo, Wish::Answers(answered), Wish::Echo]);
        for ticket in tickets {
            let unanswered = ProcessingError::Unanswered { asked: 3, answered };
            assert_eq!(ticket.wait(), Err(unanswered));
        }
        assert_works(&office, 3);
    }
    assert_eq!(drain(&office.pool).total().failed, 5 * 3);
}

/// The service answers once too often, and no answer can be dropped without a panic.
fn answers_for_nobody_whose_drops_panic_are_survived(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    let wishes = [Wish::Mines(4), Wish::Echo, Wish::Echo];
    for told in shorts(office.ask_all(wishes)) {
        assert_eq!(told, "Unanswered { asked: 3, answered: 4 }");
    }
    assert_works(&office, 3);
    drain(&office.pool);
}

fn responses_that_nobody_takes_and_whose_drops_panic_are_survived(kind: Kind) {
    let office = Office::new(kind, 1, lingering(20));
    let gate = Gate::new();
    let mut wishes: Vec<_> = (0..20).map(|_| Wish::EchoMine).collect();
    wishes[0] = Wish::Hold(gate.clone());
    let mut tickets = office.ask_all(wishes);
    gate.await_arrivals(1);
    drop(tickets.split_off(1));
    gate.open();
    assert_eq!(shorts(tickets), ["0"]);
    assert_works(&office, 20);
    assert_eq!(drain(&office.pool).total().completed, 40);
}

fn state_is_made_anew_after_a_panic_alone(kind: Kind) {
    let office = Office::new(kind, 1, lingering(2));
    let state = |first: Wish| {
        let mut tickets = office.ask_all([first, Wish::Echo]);
        let last = tickets.pop().unwrap().wait();
        last.ok().map(|told| told.state)
    };
    assert_eq!(state(Wish::Echo), Some(0));
    assert_eq!(state(Wish::Panic), Some(0), "an item's panic");
    assert_eq!(state(Wish::Fail), Some(0));
    assert_eq!(state(Wish::FailAll(Trap::Nothing)), None);
    assert_eq!(state(Wish::Answers(7)), None);
    assert_eq!(state(Wish::Echo), Some(0));
    assert_eq!(state(Wish::PanicAll), None);
    assert_eq!(state(Wish::Echo), Some(1), "a batch's panic");
    drain(&office.pool);
}

fn a_worker_without_new_state_leaves_its_tasks_to_others(kind: Kind) {
    let config = config(2).batching(lingering(3));
    let office = Office::build(kind, builder(config), 2).unwrap();
    let events = office.pool.events();
    let gate = Gate::new();
    let mut tickets = office.ask_all([Wish::HoldThenPanic(gate.clone()), Wish::Echo]);
    // Both workers may take part, and then neither batch is full.
    let goes_on = |gone: &dyn Fn() -> bool| {
        while !gone() {
            office.hands.advance(Duration::from_secs(1));
            std::thread::yield_now();
        }
    };
    goes_on(&|| gate.arrived() == 1);
    tickets.extend(office.echo_all(12));
    gate.open();
    goes_on(&|| tickets.iter().all(Ticket::is_done));
    let told = shorts(tickets);
    let panicked = told.iter().filter(|told| told.contains(EXPECTED)).count() as u64;
    assert!(told[0].contains(EXPECTED) && panicked <= 3, "{told:?}");
    let stopped = std::iter::from_fn(|| events.recv())
        .find(|event| matches!(event, PoolEvent::WorkerStopped { .. }));
    let Some(PoolEvent::WorkerStopped { reason, .. }) = stopped else {
        panic!("{stopped:?}");
    };
    assert!(reason.is_some_and(|why| why.contains("no more state")));
    let statistics = drain(&office.pool).total();
    assert_eq!(
        (statistics.completed + panicked, statistics.panicked),
        (14, panicked)
    );
}

fn the_last_worker_without_state_answers_everybody(kind: Kind) {
    let config = config(1).batching(lingering(3));
    let office = Office::build(kind, builder(config), 1).unwrap();
    let gate = Gate::new();
    let held = office.ask_all([Wish::Hold(gate.clone()), Wish::PanicAll, Wish::Echo]);
    gate.await_arrivals(1);
    let others = office.echo_all(20);
    gate.open();
    assert_eq!(shorts(held).len(), 3);
    assert_eq!(shorts(others), vec!["Abandoned"; 20]);
    let statistics = drain(&office.pool);
    assert_eq!(statistics.workers[0].status, WorkerHealthStatus::Stopped);
    let total = statistics.total();
    assert_eq!((total.panicked, total.abandoned), (3, 20));
    let ask = Ask {
        id: 0,
        wish: Wish::Echo,
    };
    assert!(matches!(
        office.pool.try_submit(ask),
        Err(SubmitError::Closed(_))
    ));
}

fn members_that_leave_before_the_close_are_not_run(kind: Kind) {
    let office = Office::new(kind, 1, lingering(7));
    let mut tickets = office.echo_all(6);
    await_lingering(&office.pool, 1);
    drop((tickets.remove(4), tickets.remove(2), tickets.remove(0)));
    office.hands.advance(Duration::from_secs(1));
    let told: Vec<_> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap())
        .collect();
    assert!(
        told.iter()
            .map(|told| (told.id, told.size))
            .eq([1, 3, 5].map(|id| (id, 3)))
    );
    let total = drain(&office.pool).total();
    assert_eq!((total.completed, total.cancelled), (3, 3));
    let batches = office.pool.batch_processor().unwrap().statistics();
    assert_eq!(
        (batches.requests, batches.closed(CloseReason::Timeout)),
        (3, 1)
    );
}

fn members_that_leave_while_it_runs_cost_the_others_nothing(kind: Kind) {
    let office = Office::new(kind, 1, lingering(5));
    let gate = Gate::new();
    let wishes = [
        Wish::Echo,
        Wish::Hold(gate.clone()),
        Wish::Panic,
        Wish::Fail,
        Wish::Echo,
    ];
    let mut tickets = office.ask_all(wishes);
    gate.await_arrivals(1);
    drop((tickets.remove(2), tickets.remove(0)));
    gate.open();
    assert_eq!(shorts(tickets), ["1", "fails for 3", "4"]);
    let total = drain(&office.pool).total();
    assert_eq!((total.completed, total.failed, total.panicked), (3, 1, 1));
}

fn contexts_come_with_their_requests(kind: Kind) {
    let office = Office::new(kind, 1, lingering(20));
    // The loop below turns the clock on for as long as it takes.
    let deadline = office.clock.now() + 100_000 * LONG;
    let context = |id: u64| {
        let context = TaskContext::new()
            .with_message_id(id)
            .with_connection_id(id % 3);
        match id % 4 {
            0 => context,
            1 => context.with_key(id * 10).with_tenant(7),
            2 => context.with_batch_id(id * 100),
            _ => context.with_deadline(deadline),
        }
    };
    let ask = |id| {
        let ask = Ask {
            id,
            wish: Wish::Echo,
        };
        // From all lanes, so that the order of the batch is another than that of the submissions.
        let task = ProcessingTask::new(ask)
            .context(context(id))
            .lane(id as usize % 4);
        office.ask(task)
    };
    // An urgent one or one with a deadline takes its batch along before it is full, so these come first.
    office.pool.scheduler().pause(TaskPriority::Low);
    let tickets: Vec<_> = (0..20).map(ask).collect();
    office.pool.scheduler().resume(TaskPriority::Low);
    for (id, ticket) in (0..).zip(tickets) {
        let told = loop {
            office.hands.advance(Duration::from_secs(1));
            if ticket.is_done() {
                break ticket.wait().unwrap();
            }
            std::thread::yield_now();
        };
        assert_eq!((told.id, told.context), (id, context(id)));
    }
    drain(&office.pool);
}

fn a_list_has_one_number_and_each_batch_its_own(kind: Kind) {
    let office = Office::new(kind, 2, natural(4));
    let list = |given: Option<u64>| {
        let task = |id| {
            let context = match given {
                Some(number) if id % 2 == 0 => TaskContext::new().with_batch_id(number),
                _ => TaskContext::new(),
            };
            ProcessingTask::new(Ask {
                id,
                wish: Wish::Echo,
            })
            .context(context)
        };
        let results = match given {
            Some(_) => office.pool.execute_batch_blocking((0..30).map(task)),
            None => block_on(office.pool.execute_batch((0..30).map(task))),
        };
        let told: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert!(told.iter().map(|told| told.id).eq(0..30));
        told
    };
    let numbers: Vec<_> = [None, Some(77), None]
        .map(|given| {
            let told = list(given);
            let mut numbers: Vec<_> = told
                .iter()
                .map(|told| told.context.batch_id().unwrap())
                .collect();
            if let Some(number) = given {
                assert!(numbers.iter().step_by(2).all(|found| *found == number));
                numbers = numbers.split_off(1).into_iter().step_by(2).collect();
            }
            numbers.dedup();
            assert_eq!(
                numbers.len(),
                1,
                "one number for all of a list: {numbers:?}"
            );
            numbers[0]
        })
        .into();
    assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2] && numbers[0] != numbers[2]);

    let sizes = Mutex::new(std::collections::BTreeMap::new());
    let told = list(None);
    for told in &told {
        *sizes
            .lock()
            .unwrap()
            .entry((told.batch, told.size))
            .or_insert(0) += 1;
    }
    let sizes = sizes.into_inner().unwrap();
    assert!(
        sizes.iter().all(|((_, size), told)| size == told),
        "two batches of one number: {sizes:?}"
    );
    drain(&office.pool);
}

fn an_empty_list_is_fine(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    assert!(
        office
            .pool
            .execute_batch_blocking(Vec::<Ask>::new())
            .is_empty()
    );
    assert!(block_on(office.pool.execute_batch(Vec::<Ask>::new())).is_empty());
    assert_eq!(drain(&office.pool).total().submitted, 0);
}

fn a_list_larger_than_its_lane_is_fed_through(kind: Kind) {
    const LIST: u64 = 1_000;
    for batching in [natural(7), natural(64)] {
        let config = config(2)
            .batching(batching)
            .lanes(lanes(8, OverflowPolicy::Wait));
        let office = Office::build(kind, builder(config), u64::MAX).unwrap();
        let tasks = || {
            (0..LIST).map(|id| {
                let wish = if id % 10 == 3 { Wish::Fail } else { Wish::Echo };
                ProcessingTask::new(Ask { id, wish }).lane((id / 100) as usize % 4)
            })
        };
        let lists = [
            office.pool.execute_batch_blocking(tasks()),
            block_on(office.pool.execute_batch(tasks())),
        ];
        for list in lists {
            assert_eq!(list.len() as u64, LIST);
            for (id, result) in (0..).zip(list) {
                match result {
                    Ok(told) => assert!(told.id == id && id % 10 != 3),
                    Err(ExecuteError::Processing(ProcessingError::Failed(trouble))) => {
                        assert!(trouble.id == id && id % 10 == 3);
                    }
                    Err(other) => panic!("{id}: {other:?}"),
                }
            }
        }
        drain(&office.pool);
    }
}

fn a_list_from_within_a_batch_is_refused(kind: Kind) {
    let office = Office::new(kind, 1, lingering(1));
    let (pool, refused) = (office.pool.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&refused);
    let run = move || {
        let list = [1, 2].map(|id| Ask {
            id,
            wish: Wish::Echo,
        });
        for result in pool.execute_batch_blocking(list) {
            let nested = matches!(result, Err(ExecuteError::Refused(SubmitError::Nested(_))));
            seen.lock().unwrap().push(nested);
        }
    };
    let told = shorts(office.ask_all([Wish::Run(Arc::new(run))]));
    assert_eq!(
        (told, refused.lock().unwrap().as_slice()),
        (vec!["0".to_owned()], &[true; 2][..])
    );
    assert_eq!(drain(&office.pool).total().refused, 2);
}
