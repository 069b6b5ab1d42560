//! What chance can come up with: a pool, operations on it, and an end.
#![allow(unreachable_pub, reason = "a part of one test file")]

use proptest::prelude::*;

/// How a task is handed in.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    TrySubmit,
    TrySpawn,
    /// Awaited in the background while the lane is full.
    Submit,
    /// Polled once, and dropped if the lane is full.
    SubmitOrGiveUp,
}

/// What becomes of a ticket.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Wait,
    Drop,
    PollAndDrop,
    Detach,
}

#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Task {
        way: Way,
        act: u8,
        lane: usize,
        /// Seconds from now; 0 is too late already.
        deadline: Option<u64>,
        fate: Fate,
    },
    /// Holds all workers, or lets them go.
    Hold(bool),
    Advance(u64),
    Batch(u8),
}

#[derive(Clone, Copy, Debug)]
pub enum End {
    Drain,
    AtOnce,
    Twice,
    Drop,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub workers: usize,
    pub run_length: usize,
    pub lanes: Vec<(usize, bool)>,
    pub operations: Vec<Operation>,
    pub end: End,
}

fn operation() -> impl Strategy<Value = Operation> {
    let way = prop_oneof![
        Just(Way::TrySubmit),
        Just(Way::TrySpawn),
        Just(Way::Submit),
        Just(Way::SubmitOrGiveUp)
    ];
    let fate = prop_oneof![
        3 => Just(Fate::Wait),
        1 => Just(Fate::Drop),
        1 => Just(Fate::PollAndDrop),
        1 => Just(Fate::Detach)
    ];
    let task = (
        way,
        0_u8..4,
        0_usize..5,
        prop::option::weighted(0.3, 0_u64..4),
        fate,
    );
    let task = task.prop_map(|(way, act, lane, deadline, fate)| Operation::Task {
        way,
        act,
        lane,
        deadline,
        fate,
    });
    prop_oneof![
        12 => task,
        2 => any::<bool>().prop_map(Operation::Hold),
        1 => (1_u64..3).prop_map(Operation::Advance),
        1 => (0_u8..40).prop_map(Operation::Batch),
    ]
}

pub fn scenario() -> impl Strategy<Value = Scenario> {
    let lanes = prop::collection::vec((1_usize..6, any::<bool>()), 1..=4);
    let operations = prop::collection::vec(operation(), 0..80);
    let end = prop_oneof![
        Just(End::Drain),
        Just(End::AtOnce),
        Just(End::Twice),
        Just(End::Drop)
    ];
    let run_length = prop_oneof![Just(1_usize), Just(16)];
    (1_usize..4, run_length, lanes, operations, end).prop_map(
        |(workers, run_length, lanes, operations, end)| Scenario {
            workers,
            run_length,
            lanes,
            operations,
            end,
        },
    )
}
