//! A result stream: many requests through few places, results as they come.
//!
//! The stream holds eight tasks at most, so its source is read only as fast as results are taken, and
//! a slow reader slows everything down instead of filling the memory. Results come in any order; the
//! message's number tells whose they are.

use std::error::Error;

use lanepool::{ProcessingTask, TaskContext, WorkerPool, service_fn};

const LIMIT: usize = 8;
const TEXTS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = WorkerPool::new(service_fn(|text: String, _: &TaskContext| {
        let words = text.split_whitespace().count();
        if words == 0 {
            Err("an empty text")
        } else {
            Ok(words as u64)
        }
    }))?;

    // Text n has n % 5 words.
    let mut source = (0..TEXTS).map(|n| (n, "word ".repeat(n as usize % 5)));
    let mut stream = pool.stream(LIMIT);
    let mut seen = vec![false; TEXTS as usize];
    let (mut words, mut empty) = (0, 0);
    loop {
        while stream.has_room()
            && let Some((n, text)) = source.next()
        {
            stream.submit_blocking(ProcessingTask::new(text).message_id(n))?;
            assert!(stream.outstanding() <= LIMIT);
        }
        // Nothing is outstanding only when the source has run dry.
        let Some(item) = stream.next_blocking() else {
            break;
        };
        let n = item
            .context
            .message_id()
            .expect("every task has its number");
        assert!(
            !std::mem::replace(&mut seen[n as usize], true),
            "one result each"
        );
        match item.result {
            Ok(count) => words += count,
            Err(_) => empty += 1,
        }
    }
    assert!(seen.iter().all(|seen| *seen));
    assert_eq!((words, empty), (2_000, 200));
    println!("{words} words in {TEXTS} texts, {empty} of them empty");
    Ok(())
}
