//! Urgent requests overtake, and late ones are never started.
//!
//! One worker is held by a first request until a backlog has formed behind it. Then it runs the backlog
//! from the top lane down, in order within each lane, and leaves out what came too late. The pool's clock
//! is turned by hand, so that "too late" depends on no machine's speed.

use std::error::Error;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lanepool::{
    Clock, ProcessingError, ProcessingTask, SubmitError, TaskContext, TaskPriority, WorkerPool,
    WorkerPoolConfig, service_fn,
};

enum Request {
    /// Keeps the worker busy until the other end of the channel is dropped.
    Hold(Receiver<()>),
    Draw(&'static str),
}

fn main() -> Result<(), Box<dyn Error>> {
    let drawn = Arc::new(Mutex::new(Vec::new()));
    let journal = Arc::clone(&drawn);
    let (clock, hands) = Clock::manual();
    let pool = WorkerPool::<Request, (), &str>::builder()
        .config(WorkerPoolConfig::builder().workers(1).build()?)
        .clock(clock.clone())
        .build(service_fn(move |request: Request, _: &TaskContext| {
            match request {
                Request::Hold(until) => drop(until.recv()),
                Request::Draw("") => return Err("nothing to draw"),
                Request::Draw(what) => journal.lock().unwrap().push(what),
            }
            Ok(())
        }))?;

    // Of the top lane, so that the worker takes it before anything that is submitted later.
    let (let_go, held) = mpsc::channel();
    let hold = ProcessingTask::new(Request::Hold(held)).priority(TaskPriority::Critical);
    pool.try_spawn(hold)?;

    let submit = |what, priority| {
        pool.try_submit(ProcessingTask::new(Request::Draw(what)).priority(priority))
    };
    let tickets = [
        submit("sky", TaskPriority::Low)?,
        submit("hills", TaskPriority::Low)?,
        submit("house", TaskPriority::Normal)?,
        submit("player", TaskPriority::High)?,
        submit("cursor", TaskPriority::Critical)?,
    ];
    let failing = submit("", TaskPriority::Low)?;

    // This one may wait for a minute and has to wait for two.
    let deadline = clock.now() + Duration::from_secs(60);
    let late = || ProcessingTask::new(Request::Draw("last frame's shadow")).deadline(deadline);
    let expired = pool.try_submit(late())?;
    hands.advance(Duration::from_secs(120));
    let refused = pool.try_submit(late()).expect_err("it is too late");
    assert!(matches!(refused, SubmitError::Expired(Request::Draw(_))));

    drop(let_go);
    for ticket in tickets {
        assert_eq!(ticket.wait(), Ok(()));
    }
    assert_eq!(
        failing.wait(),
        Err(ProcessingError::Failed("nothing to draw"))
    );
    assert_eq!(expired.wait(), Err(ProcessingError::Expired));
    let order = drawn.lock().unwrap();
    assert_eq!(*order, ["cursor", "player", "house", "sky", "hills"]);
    println!("drawn in this order: {}", order.join(", "));

    // However much of the other lanes comes in, none of them starves.
    for priority in TaskPriority::ALL {
        let pulls = pool.starvation_bound(priority);
        println!("at the head of its lane a {priority:?} task is started within {pulls} pulls");
    }
    Ok(())
}
