//! What the machine refuses: the pool says so, and nothing of it is left behind.

mod common;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{EXPECTED, Kind, Rig, builder, config, drain, for_both_kinds, watched};
use lanepool::{BuildError, LaneConfig, ProcessingTask, TaskContext, TaskPriority};

for_both_kinds!(
    a_large_request_is_handed_over_as_it_is,
    requests_without_size_are_counted_all_the_same,
    a_priority_is_a_lane_even_if_there_is_but_one,
    more_workers_than_a_word_has_bits_are_one_pool,
);

fn a_large_request_is_handed_over_as_it_is(kind: Kind) {
    type Large = [u64; 512];
    let service = |large: Large, _: &TaskContext| Ok::<Large, ()>(large.map(|n| n + 1));
    let pool = kind.serve(builder(config(2)), service).unwrap();
    for n in 0..200 {
        let answer = pool.execute_blocking([n; 512], TaskPriority::Low, TaskContext::new());
        assert_eq!(answer, Ok([n + 1; 512]));
    }
    drain(&pool);
}

fn requests_without_size_are_counted_all_the_same(kind: Kind) {
    let pool = kind
        .serve(builder(config(2)), |(): (), _| Ok::<(), ()>(()))
        .unwrap();
    let tickets: Vec<_> = (0..1_000)
        .map(|_| pool.submit_blocking(()).unwrap())
        .collect();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert_eq!(drain(&pool).total().completed, 1_000);
}

fn a_priority_is_a_lane_even_if_there_is_but_one(kind: Kind) {
    let rig = Rig::new(
        kind,
        config(1).lanes([LaneConfig::new().capacity(1).weight(1_000_000)]),
    );
    for priority in TaskPriority::ALL {
        assert!(rig.submit(1, priority).wait().is_ok());
    }
    let lane = ProcessingTask::new(common::Job::echo(1)).lane(0);
    assert!(rig.pool.try_submit(lane).unwrap().wait().is_ok());
    assert_eq!(drain(&rig.pool).lanes[0].completed, 5);
}

fn more_workers_than_a_word_has_bits_are_one_pool(kind: Kind) {
    // The idle protocol keeps its workers in words; these are several of them.
    let rig = Rig::new(kind, config(200).thread_stack_size(64 * 1024));
    let gate = rig.hold_all();
    assert_eq!(gate.arrived(), 200);
    let ticket = rig.submit(1, TaskPriority::Critical);
    assert!(!ticket.is_done());
    gate.open();
    assert!(ticket.wait().is_ok());
    assert_eq!(drain(&rig.pool).workers.len(), 200);
}

/// Set in the process that the machine's limit is tried on.
const LIMITED: &str = "LANEPOOL_TEST_LIMITED";

/// Runs itself again in a process that may have 6 GiB of addresses, and there asks for 64 stacks of 1 GiB.
#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_the_system_refuses_fails_the_build() {
    if std::env::var_os(LIMITED).is_some() {
        watched(ask_for_too_much);
        return;
    }
    let itself = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -v 6291456 && exec \"$0\" --exact --nocapture \"$1\"",
        ])
        .arg(itself)
        .arg("a_thread_that_the_system_refuses_fails_the_build")
        .env(LIMITED, "1")
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn ask_for_too_much() {
    let alive = Arc::new(AtomicUsize::new(0));
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let made = Arc::clone(&alive);
    let greedy = builder(config(64).thread_stack_size(1 << 30));
    let error = Rig::with_extra(Kind::Threads, greedy, move |_, _| {
        made.fetch_add(1, Ordering::SeqCst);
        Box::new(Counted(Arc::clone(&made)))
    })
    .err()
    .expect("64 GiB do not fit in 6");
    match &error {
        BuildError::Spawn { worker, .. } => assert!((1..64).contains(worker), "{worker}"),
        other => panic!("{other:?}"),
    }
    assert!(
        error
            .to_string()
            .contains("use fewer workers or a smaller stack"),
        "{error}"
    );
    assert_eq!(
        alive.load(Ordering::SeqCst),
        0,
        "the workers that had started are gone"
    );
    let modest = Rig::new(Kind::Threads, config(2));
    assert!(
        modest.submit(1, TaskPriority::Low).wait().is_ok(),
        "another pool can be had"
    );
}

/// A service that cannot make its state on some workers, built again and again.
#[test]
fn a_build_that_fails_can_be_tried_again() {
    watched(|| {
        for _ in 0..50 {
            let failed = Rig::with_extra(Kind::Threads, builder(config(3)), |worker, _| {
                assert!(worker == 0, "{EXPECTED}");
                Box::new(())
            });
            assert!(matches!(
                failed.err(),
                Some(BuildError::Service { worker: 1 | 2, .. })
            ));
        }
        let rig = Rig::new(Kind::Threads, config(3));
        drain(&rig.pool);
    });
}
