//! A worker pool for servers: bounded priority lanes, a stated starvation bound, an account of every
//! task.
//!
//! # Overview
//!
//! A [`WorkerPool`] runs one *service* on some *workers*. Requests are handed over with a
//! priority and, if wanted, a deadline; they wait in *lanes*, one bounded queue for each priority, and
//! each has exactly one [`Outcome`], which its caller is told, whatever happens in between.
//!
//! - A [`Service`] is synchronous and runs on threads of the pool. An [`AsyncService`] runs as tokio
//!   tasks. Both keep *state* for each worker: a buffer, a connection.
//! - Callers may block or await, whichever kind of service the pool runs. Awaiting needs no runtime in
//!   particular.
//! - A full lane makes its submitters wait, or refuses, and a refusal hands the request back.
//! - A shutdown finishes what was accepted within a time limit and reports what it could not finish.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use lanepool::{ProcessingTask, TaskContext, TaskPriority, WorkerPool, service_fn};
//!
//! let pool = WorkerPool::new(service_fn(|path: String, _: &TaskContext| {
//!     if path.starts_with("Assets/") { Ok(path.len()) } else { Err("not an asset") }
//! }))?;
//!
//! // Wait for the answer, or take a ticket and wait later.
//! let length = pool.execute_blocking("Assets/a.cs".into(), TaskPriority::High, TaskContext::new());
//! assert_eq!(length, Ok(11));
//! let task = ProcessingTask::new("Assets/wood.png".to_owned())
//!     .priority(TaskPriority::Low)
//!     .timeout(Duration::from_secs(60));
//! let ticket = pool.submit_blocking(task).expect("the pool is open");
//! assert_eq!(ticket.wait(), Ok(15));
//!
//! let report = pool.shutdown_blocking(Duration::from_secs(5));
//! assert!(report.drained);
//! assert_eq!(report.statistics.conserved(), Ok(()));
//! assert_eq!(report.statistics.total().completed, 2);
//! # Ok::<(), lanepool::BuildError>(())
//! ```
//!
//! The folder `examples/` has more: deadlines and priorities, an async service, a result stream with
//! back-pressure, a shutdown that runs out of time.
//!
//! # The contracts
//!
//! ## Conservation
//!
//! In each lane, whenever nothing moves:
//!
//! ```text
//! submitted = refused + completed + failed + panicked + expired + cancelled + shed + abandoned
//!           + queued + running
//! ```
//!
//! Every accepted task has exactly one outcome, and every caller who waits is answered: after a panic,
//! a shutdown, the loss of all workers, and the drop of the pool. An outcome is counted before its
//! caller is told, save for tasks that outlive a shutdown's limit: they count as running until the
//! worker is done with them. [`WorkerPoolStatistics::conserved`] checks the law; the two sides are
//! counted apart.
//!
//! What no lane was asked to decide counts nowhere: a task for a lane that does not exist, one beyond
//! the limit of a [`ResultStream`], one whose submitter left while it waited for room. `shed` is always
//! 0 today, because no policy sheds.
//!
//! ## Bounded
//!
//! A lane never holds more than its capacity (rounded up to a power of two, 2 or more), and its memory
//! is taken, and written, when the pool is built, so no submission pays for a fresh page. (Strategies other than the default have bounds beside it; see [Limits](#limits).) When it is full, [`OverflowPolicy::Wait`] makes submitters wait
//! and [`OverflowPolicy::Reject`] refuses; the ways in that begin with `try_` never wait. Those who
//! wait are let in in their order, though one who comes while there is room does not stand in line.
//! Replies lie in a slab that grows to the most tickets ever outstanding at once, and is reused.
//!
//! ## The starvation bound
//!
//! A higher lane goes first, except that a lower one that was passed over for its *gap* of pulls goes
//! before it, once. With `n` lanes of weights `w` that add up to `S`, lane `L` has the gap
//! `g(L) = ceil(S / w(L))`, and the task at its head is started within
//!
//! ```text
//! N(L)   = W * r * B(L)                                 pulls of all workers together
//! B(L)   = g(L) + n - 2                                 for every lane but the top one
//! B(top) = the least k with k >= 1 + sum of ceil(k / g(l)) over the lower lanes l
//! ```
//!
//! where `W` is the number of workers and `r` the longest run: 1 for async workers, and
//! [`max_run_length`](WorkerPoolConfig::max_run_length) for threads. A single lane has `B = 1`. Only
//! pulls with a choice count: where one lane alone holds something it is served, and nothing is passed
//! over. By default (weights 1, 4, 16, 64) `B` is 87, 24, 8 and 4 from the lowest lane to the top.
//! [`WorkerPool::starvation_bound`] computes `N`.
//!
//! The bound counts pulls, not time: a service that takes a minute makes the next pull a minute late.
//!
//! `W` counts the workers that take tasks of lane `L`: not those that are
//! [reserved](WorkerPoolConfig::reserved) for higher lanes. With [ageing](WorkerPoolConfig::ageing) every bound
//! doubles, because at most every other pull goes to a lane for its age. Where tasks wait in more places than the shared
//! lanes (see [Scheduling](#scheduling)), a worker goes around among the `s` places it is at home in, and the task at
//! the head of lane `L` in any of them starts within `s * r * B(L)` pulls of a worker at home there. `s` is 4: shared
//! tasks, shared keys, its own tasks, its own keys; and 2 more for each further sub-ring and each worker that has ended.
//! A key's next task stands in its lane from the moment when the one before has its outcome.
//!
//! ## Work conservation
//!
//! No worker sleeps while a task waits in a lane that no awake worker is going to look at: every
//! submission finds a worker awake and looking, or all of them busy, or wakes one; and a worker that
//! stops looking because it found a task wakes another if more wait. Tasks that a worker has claimed in
//! one run are its own; see [Limits](#limits).
//!
//! ## Order
//!
//! Tasks leave a lane in the order in which they entered it, and the lane of each worker and each sub-ring is
//! one of its own. Tasks of one thread, or of one batch,
//! enter in the order in which they were handed over. With several workers they run side by side, and
//! may finish in any order.
//!
//! Tasks with a key, in a pool that is [`HashBased`](SchedulingStrategy::HashBased) or ever was, start in the
//! order in which they were handed over, whatever their lanes, and one at a time: the next one starts after the one
//! before has its outcome, be it a panic, an expiry or a cancellation, and whichever workers come and go.
//!
//! ## Deadlines
//!
//! A deadline is a point in time; at that point it is too late. It is checked when a task is handed
//! over ([`SubmitError::Expired`]) and when a worker comes to it ([`ProcessingError::Expired`]), so a
//! task past its deadline is never started. In batches of adaptive size one that cannot be on time any more may
//! [expire sooner](#batches), in favour of others. The service finds the deadline in the [`TaskContext`]; a
//! task that runs is not stopped. A task without one gets
//! [`default_timeout`](WorkerPoolConfig::default_timeout) from its submission, if that is set.
//!
//! ## Cancellation
//!
//! Dropping a [`Ticket`], or the future of [`WorkerPool::execute`], cancels: a task that was not
//! started never is, and one that runs is finished and its result dropped. A cancelled task keeps its
//! place in the lane until a worker comes to it. [`Ticket::detach`] gives up the result and lets the
//! task run; fire-and-forget tasks cannot be cancelled.
//!
//! ## Shutdown
//!
//! [`WorkerPool::shutdown`] and its blocking twin refuse what comes from then on, let the workers run
//! what was accepted for at most the given time, and then abandon the rest: every caller is answered,
//! the requests that no worker has claimed are handed back with their contexts, and the tasks that
//! still run are named. A worker that is still at a task starts nothing more and ends when the service
//! returns; what it had claimed besides (see [Limits](#limits)) is counted in the report. Called on a
//! worker, a shutdown does not wait for that worker and reports its task as running.
//!
//! Dropping the last handle waits for nothing: tasks in the lanes are abandoned and their callers told
//! so, and tasks that workers have claimed are finished and answered.
//!
//! ## Panics
//!
//! A panic of the service fails its task alone, with the panic's message. The worker drops its state,
//! makes new state and goes on; subscribers are sent [`PoolEvent::WorkerPanicked`]. If making new state
//! panics, that worker ends; when the last one has ended, or the last one that takes all lanes, the pool is
//! closed and all who wait are answered with [`ProcessingError::Abandoned`]. A panic while the first states are made fails the
//! build. Panics of a caller's waker, or when a request, a response or a state is dropped, take no
//! worker down, and a [`PerformanceMonitor`] that panics is not called again.
//!
//! ## Nested use
//!
//! Within a service, [`WorkerPool::execute_blocking`], [`WorkerPool::execute_timeout`] and
//! [`WorkerPool::execute_batch_blocking`] on the pool that runs it are refused with
//! [`SubmitError::Nested`], and so are the other blocking ways in if they had to wait for room. To
//! submit without waiting is always fine. What is not detected stands under [Limits](#limits).
//!
//! ## Idle costs nothing
//!
//! A thread without a task looks around for a microsecond or so, yields some dozens of times at most,
//! and sleeps on a futex until it is woken. Of two that look around one sleeps at once. An async worker sleeps on its waker at once. There is no
//! timer, and a pool at rest polls nothing.
//!
//! # Ways in
//!
//! | | blocks | awaits | never waits |
//! |---|---|---|---|
//! | answer | [`execute_blocking`], [`execute_timeout`] | [`execute`] | |
//! | ticket | [`submit_blocking`] | [`submit`] | [`try_submit`] |
//! | nothing | [`spawn_blocking`] | [`spawn`] | [`try_spawn`] |
//! | many answers, in order | [`execute_batch_blocking`] | [`execute_batch`] | |
//! | many answers, as they come | [`ResultStream`] | [`ResultStream`] | [`ResultStream`] |
//!
//! [`execute`]: WorkerPool::execute
//! [`execute_blocking`]: WorkerPool::execute_blocking
//! [`execute_timeout`]: WorkerPool::execute_timeout
//! [`submit`]: WorkerPool::submit
//! [`submit_blocking`]: WorkerPool::submit_blocking
//! [`try_submit`]: WorkerPool::try_submit
//! [`spawn`]: WorkerPool::spawn
//! [`spawn_blocking`]: WorkerPool::spawn_blocking
//! [`try_spawn`]: WorkerPool::try_spawn
//! [`execute_batch`]: WorkerPool::execute_batch
//! [`execute_batch_blocking`]: WorkerPool::execute_batch_blocking
//!
//! A [`Ticket`] is a future and can be waited for from a thread as well. A [`ProcessingTask`] says more
//! than a bare request: priority or lane, deadline, and numbers that the service, the shutdown report
//! and the result stream show again.
//!
//! # Errors
//!
//! Three questions, three types. [`SubmitError`]: why was it not accepted? It holds the request.
//! [`ProcessingError`]: what became of the accepted task instead of a response? [`ExecuteError`] is
//! either of them, or that the caller's time was up.
//!
//! ```
//! use lanepool::{ExecuteError, ProcessingError, TaskContext, TaskPriority, WorkerPool, service_fn};
//!
//! let pool = WorkerPool::new(service_fn(|n: u32, _: &TaskContext| {
//!     n.checked_sub(10).ok_or("too small")
//! }))?;
//! let answer = |n| match pool.execute_blocking(n, TaskPriority::Normal, TaskContext::new()) {
//!     Ok(rest) => format!("{rest} left"),
//!     Err(ExecuteError::Refused(refused)) => format!("{} comes back", refused.into_request()),
//!     Err(ExecuteError::Processing(ProcessingError::Failed(why))) => why.to_owned(),
//!     Err(other) => other.to_string(),
//! };
//! assert_eq!(answer(12), "2 left");
//! assert_eq!(answer(9), "too small");
//! pool.shutdown_blocking(std::time::Duration::from_secs(5));
//! assert_eq!(answer(12), "12 comes back");
//! # Ok::<(), lanepool::BuildError>(())
//! ```
//!
//! A pool that cannot be built says so with a [`BuildError`], and one that cannot have the workers it is told to have
//! with a [`ResizeError`]; a [`ConfigError`] lists every problem of a configuration at once.
//!
//! # Statistics
//!
//! [`WorkerPool::statistics`] reads counts by lane and outcome, wait and run times as histograms
//! (percentiles up to a sixteenth too large, never too small), each worker's share of work and of
//! idleness, and the *dispatch overhead*: how long the pool itself took for tasks that met an idle
//! worker. Queue wait is apart from that: under load it is a matter of arithmetic and not of the pool.
//!
//! Counts are exact. Times are taken of one task in
//! [`sample_every`](WorkerPoolConfig::sample_every), 64 by default, and what is derived from times
//! (percentiles, utilisation, idle while backlogged) is an estimate from that sample. A
//! [`PerformanceMonitor`] is told of every task, and a pool that has one times them all.
//! [`WorkerPool::events`] tells of panics, workers that come and go, changes of the scheduling and the close.
//!
//! # Scheduling
//!
//! By default all workers share one set of lanes, and whoever is free takes the next task. No placement in
//! advance balances better. [`WorkerPool::scheduler`] changes that, at any time and without losing a
//! task, where something else than balance counts:
//!
//! | strategy | a task waits |
//! |---|---|
//! | [`PriorityBased`](SchedulingStrategy::PriorityBased) | in lanes that all workers share |
//! | [`RoundRobin`](SchedulingStrategy::RoundRobin), [`Random`](SchedulingStrategy::Random) | in the lanes of one worker, by turns or by chance |
//! | [`LeastLoaded`](SchedulingStrategy::LeastLoaded) | in the lanes of the less loaded of two workers |
//! | [`HashBased`](SchedulingStrategy::HashBased) | for those of its key that came before it |
//!
//! A worker takes from its own lanes and from the shared ones by turns. Out of others' lanes it *steals* when it has
//! nothing else, unless [that is turned off](WorkerPoolConfig::enable_task_stealing): from the highest lane that holds
//! something, at most half of it. A task that finds the lane of its worker full goes to the shared lane, and
//! only when that is full too does the overflow policy apply.
//!
//! **Keys.** The tasks of a key wait in a queue of their own, and the key's turn waits in a lane: that of the first task, or after
//! each task that of the most urgent one among the next 16. (A more urgent one that comes later does not move it, and
//! a turn whose next task is of a paused lane waits there.) So a key with many tasks, or with a slow one, never keeps the others from running. One
//! key may have half of a lane; beyond that its submitters wait, or are refused, and others are not. The worker that
//! has a key keeps it from one task to the next, as long as no idle worker takes it. A key without tasks
//! leaves nothing behind.
//!
//! **Load balancing.** Which worker gets a key, or a part of a batch, is the choice of a
//! [`LoadBalancingStrategy`], which [`WorkerPool::load_balancer`] changes and shows.
//! By default the pool measures which one has the shortest waits ([`AdaptiveLoadController`]) and says with
//! [`PoolEvent::BalancingChanged`] when it changes its mind, and why.
//!
//! **Urgent work.** [`reserve`](WorkerPoolConfigBuilder::reserve) keeps workers for a priority and those above, so
//! that long tasks of low lanes never hold every worker. [`ageing`](WorkerPoolConfigBuilder::ageing) counts a task
//! one lane higher for every so long that it has waited, an eighth of that late at most while the worker has tasks to
//! choose from. [`TaskScheduler::pause`] stops the pulls from a lane, [`TaskScheduler::resume`] goes on.
//!
//! ```
//! use lanepool::{ProcessingTask, SchedulingStrategy, TaskPriority, WorkerPool, WorkerPoolConfig, service_fn};
//!
//! let config = WorkerPoolConfig::builder()
//!     .workers(4)
//!     .scheduling_strategy(SchedulingStrategy::HashBased)
//!     .reserve(TaskPriority::Critical, 1)
//!     .build()?;
//! let pool = WorkerPool::with_config(service_fn(|step: u32, _: &_| Ok::<_, ()>(step)), config)?;
//! let steps = (0..100).map(|step| ProcessingTask::new(step).key(7));
//! let results = pool.execute_batch_blocking(steps); // one after the other
//! assert!(results.iter().all(Result::is_ok));
//! assert_eq!(pool.scheduler().statistics().keyed, 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Batches
//!
//! A [`BatchService`] takes several requests in one call, for a service that does many together for little more than
//! one: a transaction, a request over the network, a model on an accelerator. [`WorkerPool::with_batches`] runs it
//! on threads, [`WorkerPool::with_batches_async`] an [`AsyncBatchService`] as tokio tasks. To callers nothing is
//! different: all ways in, priorities, deadlines, cancellation and the shutdown are as described here, and every
//! request has an answer of its own.
//!
//! **Forming.** A worker takes tasks one by one in the usual order, until its batch has the size that it is to have or
//! nothing waits. So turns, ageing and the starvation bound are those of single tasks. Then the batch closes, or
//! lingers for more. It closes, and [says why](CloseReason), as soon as
//!
//! - it is *full*;
//! - it holds an [urgent](BatchProcessorConfig::urgent) request (*priority*);
//! - one of its requests would miss its *deadline* otherwise, by what the pool has learnt of the service's time and
//!   with a tenth of a millisecond to spare. Until something is learnt a request with a deadline does not linger;
//! - its oldest request was accepted [`max_batch_wait`](BatchProcessorConfig::max_batch_wait) ago (*age*), or it has
//!   lingered [`batch_timeout`](BatchProcessorConfig::batch_timeout), or, with adaptive batching, as long as a batch
//!   is learnt to cost however small it is (*timeout*);
//! - nothing else waits or runs in the pool, so that to wait longer could only make it late (*idle*);
//! - the pool is closed, or its worker is [to go](WorkerPool::set_workers) (*drain*).
//!
//! A request that was cancelled or has expired by then is not given to the service, and a batch of which nobody is
//! left is none. While a batch lingers, tasks that it wants are left to it; beyond that other workers are
//! woken as usual.
//!
//! **Size.** With [adaptive batching](BatchProcessorConfig::enable_adaptive_batching) the pool learns what a batch of
//! `n` costs as `a + b * n`, and aims at the smallest size that carries 98.5 % of what the largest allowed one would. It
//! aims lower where [`target_p99`](BatchProcessorConfig::target_p99), or the tightest deadlines of late, leave less time than
//! two such batches, and never below what the load needs. After a change of the service the size is right again within 256
//! batches. At most one batch in eight has half or twice the size, which is how the curve stays known.
//!
//! **Too late in any case.** Once adaptive batching knows the curve, a request *gives way* to others if the batch would end
//! after its deadline, by what the pool has learnt and by more than a thirty-second of the batch's time: when the batch
//! closes it ends with [`ProcessingError::Expired`], which may be shortly before its deadline, and the others are on time.
//! If all that the worker holds would be late they are run, so nobody gives way for nothing and the curve stays true.
//!
//! While more than a batch waits and every other worker is busy, a worker takes up to two batches' worth. Which lane goes
//! when is as ever, but of each lane go first the requests without a deadline, then the tightest deadlines; what is
//! *put off* goes in one of the next two batches. A batch is also cut where two smaller ones keep all deadlines.
//! [`BatchStatistics`] counts both. With a fixed size, or without deadlines, there is none of this, and in batches of keys
//! nobody is put off.
//!
//! **Answers.** The service returns one answer for each request, in their order. [`Batch::answer_each`] makes them one by
//! one, and there a panic fails one request. An error of the whole call fails every request of the batch, and so does a
//! panic outside of `answer_each`. If the number of answers is wrong nobody gets one: each request ends with
//! [`ProcessingError::Unanswered`], and counts as failed.
//!
//! **Keys.** With [`keyed`](BatchProcessorConfig::keyed) only requests of one key go together, and those without a key.
//! Their batches form side by side in queues of their own, while one idle worker at most keeps the time of all of them; a
//! key takes at most half of a lane, and one without requests leaves nothing behind. A key's queue is first in, first
//! out across lanes; between keys lanes hold. Under [`HashBased`](SchedulingStrategy::HashBased) the batches of a key run one at
//! a time and in order.
//!
//! [`WorkerPool::batch_processor`] shows how full batches are, why they closed, how long they lingered, and what a batch
//! costs. Every task of such a pool is timed. Requests in a batch that lingers count as running.
//!
//! ```
//! use std::time::Duration;
//! use lanepool::{Batch, BatchProcessorConfig, CloseReason, WorkerPool, WorkerPoolConfig, batch_fn};
//!
//! let config = WorkerPoolConfig::builder()
//!     .batching(BatchProcessorConfig::new().batch_size(64).batch_timeout(Duration::from_millis(2)))
//!     .build()?;
//! let service = batch_fn(|batch: Batch<u64>| {
//!     let sum: u64 = batch.requests().iter().sum(); // what is done once for all
//!     Ok::<_, String>(batch.answer_each(|n, _| Ok(n <= sum)))
//! });
//! let pool = WorkerPool::with_batches(service, config)?;
//! assert!(pool.execute_batch_blocking(1..=100).into_iter().all(|answer| answer == Ok(true)));
//!
//! let statistics = pool.batch_processor().expect("the pool runs batches").statistics();
//! assert_eq!(statistics.requests, 100);
//! let closed: u64 = CloseReason::ALL.into_iter().map(|reason| statistics.closed(reason)).sum();
//! assert_eq!(closed, statistics.batches());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Workers that come and go
//!
//! [`WorkerPool::set_workers`] adds workers and removes some while the pool runs, up to
//! [`max_workers`](WorkerPoolConfig::max_workers). What that leaves as it was is everything above: no task is lost, and
//! the tasks of a key start in their order, one at a time, whoever comes and goes.
//!
//! - A worker that is **added** makes its state, and takes tasks at once. It may have the number of one that was
//!   removed; counts and lifetimes of a number add up.
//! - A worker that is **removed** is one of those that take all lanes, with the highest number. It finishes its task and
//!   the few that it claimed with it (see [Limits](#limits)), starts nothing more and ends; nobody waits for that.
//!   Until it has gone it may be called back. Its own lanes are the others'.
//! - A worker that has **ended by itself**, because its service could make no new state, is replaced by the next
//!   call, whatever number that asks for.
//! - [Reserved](WorkerPoolConfigBuilder::reserve) workers stay, and have the last numbers of all.
//!
//! Placement, balancing, the starvation bound and [`WorkerPool::usage_ratio`] follow the workers that are there.
//! Subscribers are sent [`PoolEvent::WorkerStarted`] and [`PoolEvent::WorkerStopped`].
//!
//! ```
//! use lanepool::{ResizeError, WorkerPool, WorkerPoolConfig, service_fn};
//!
//! let config = WorkerPoolConfig::builder().workers(1).max_workers(4).build()?;
//! let pool = WorkerPool::with_config(service_fn(|n: u8, _: &_| Ok::<_, ()>(n)), config)?;
//! assert_eq!(pool.set_workers(4)?, 4);
//! assert_eq!(pool.set_workers(2)?, 2);
//! assert!(matches!(pool.set_workers(5), Err(ResizeError::OutOfRange { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Choosing a configuration
//!
//! The defaults are meant to be kept until a figure says otherwise: a worker for each CPU that the
//! process may use (affinity and container quota respected), four lanes of 1,024 tasks whose
//! submitters wait.
//!
//! | if | then |
//! |---|---|
//! | load comes and goes, and idle threads cost | a larger [`max_workers`](WorkerPoolConfig::max_workers), and [`WorkerPool::set_workers`] |
//! | services wait for disks or peers | more [workers](WorkerPoolConfig::worker_count) than CPUs, or an async service; either way at most one request a worker is in flight |
//! | callers must not be held up | [`OverflowPolicy::Reject`] on their lane, or `try_submit` |
//! | bursts are refused or held up | a larger [capacity](LaneConfig::capacity); it costs memory and waiting, not speed |
//! | the lowest lane waits too long | a larger [weight](LaneConfig::weight); [`WorkerPool::starvation_bound`] says what it buys |
//! | a very cheap task may stand in front of a slow one in the same lane | [`max_run_length`](WorkerPoolConfig::max_run_length) 1 |
//! | few tasks, or exact percentiles wanted | [`sample_every`](WorkerPoolConfig::sample_every) 1 |
//! | tasks of one asset, user or connection must not overtake each other | [`SchedulingStrategy::HashBased`] |
//! | long tasks of low lanes keep urgent ones waiting | [`reserve`](WorkerPoolConfigBuilder::reserve) a worker |
//! | more than four workers, many submitters, tasks below a microsecond | [`sub_rings`](WorkerPoolConfig::sub_rings), if it measures better |
//! | the service does many requests for little more than one | a [`BatchService`]; [`batch_size`](BatchProcessorConfig::batch_size) as large as the service takes |
//! | answers of batches come too late | [`target_p99`](BatchProcessorConfig::target_p99), deadlines, or a [`batch_timeout`](BatchProcessorConfig::batch_timeout) of zero |
//! | batches are not full enough while the pool is half busy | [`enable_adaptive_batching`](BatchProcessorConfig::enable_adaptive_batching) or [`close_when_idle`](BatchProcessorConfig::close_when_idle) off, and a longer `batch_timeout` |
//! | nobody wants an answer after a while | [`default_timeout`](WorkerPoolConfig::default_timeout) |
//! | a test of deadlines | [`Clock::manual`] |
//!
//! ```
//! use lanepool::{OverflowPolicy, TaskContext, TaskPriority, WorkerPool, WorkerPoolConfig, service_fn};
//!
//! let config = WorkerPoolConfig::builder()
//!     .workers(8)
//!     .thread_name("assets")
//!     .lane(TaskPriority::Critical, |lane| lane.capacity(64).overflow(OverflowPolicy::Reject))
//!     .lane(TaskPriority::Low, |lane| lane.capacity(16_384).weight(4))
//!     .max_run_length(1)
//!     .build()?;
//! let pool = WorkerPool::with_config(service_fn(|n: u8, _: &TaskContext| Ok::<_, ()>(n)), config)?;
//! // 8 workers, runs of 1, and the gap ceil(88 / 4) + 4 lanes - 2.
//! assert_eq!(pool.starvation_bound(TaskPriority::Low), 8 * (22 + 4 - 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! - `tokio` (default): async services. Without it the library has threads alone; the ways in that
//!   await are there all the same.
//! - `serde`: `Serialize` and `Deserialize` for the configuration, priorities, policies and outcomes.
//!   Unknown fields of a configuration are refused.
//! - `loom`: the models of `cargo test --features loom`. Changes nothing for dependents.
//! - `internals`: for this project's own benchmarks and fuzzers. No promise of stability.
//!
//! # Limits
//!
//! - **A preempted producer delays its lane.** A submitter that the system interrupts between claiming
//!   a place and filling it holds up what comes later in the same lane until it runs again. Other lanes
//!   are unaffected, and no code of the user runs in that window.
//! - **Runs.** A worker that finds tasks to cost less than 60 ns claims a few at once, at most 16, so
//!   up to 15 tasks can be bound to a worker that then meets a slow one. Higher lanes overtake them,
//!   and a `max_run_length` of 1 turns runs off. Async workers form none. A worker that keeps finding two
//!   or three such tasks lets the lane fill for three microseconds before its next claim.
//! - **Requests lie inline.** A lane's memory is its capacity times the size of a request and about 80
//!   bytes, and a request is moved by copying. Box those of more than about 128 bytes.
//! - **Nested waits that are not detected:** [`Ticket::wait`] and [`ResultStream::next_blocking`]
//!   within a service of the same pool, its futures if such a service blocks on them, and async
//!   services that await their own pool. When every worker does so, they wait for ever.
//! - **`panic = "abort"`** ends the process at a service's panic. What is promised about panics needs
//!   unwinding.
//! - **A service that holds a handle of its own pool** keeps that pool alive, which then ends by
//!   [`WorkerPool::shutdown`] and not by drop.
//! - **A running task is never interrupted**, be it by a deadline, a cancellation or a shutdown. A
//!   service that may run for long should look at its deadline.
//! - **Async workers need their runtime.** If it is blocked, they are; if it is shut down they end, and
//!   the tasks they run are abandoned.
//! - **Sampled times** of a lane with few tasks rest on few records. See [Statistics](#statistics).
//! - **The configuration is fixed** once the pool is built, but for the number of workers, the strategies, the
//!   weights and which lanes are paused. The most workers there can be is part of it, because tables have their size.
//! - **Placement costs memory and has bounds of its own.** Each worker's own lane holds its part of the lane's capacity, rounded up to a power
//!   of two, 2 or more, beside the shared one; and as many tasks with a key may wait as the lane's capacity, beside those without.
//!   The memory is taken with the first strategy other than `PriorityBased`.
//! - **Two batches may be half full** instead of one full, when two workers look for tasks at the same moment and both
//!   linger. A batch takes its tasks one at a time, some 100 instructions each, and reads the clock for each.
//! - **Keys take a lock** each, shared among some: a task of a key costs a quarter of a microsecond more.
//!
//! # Where things are
//!
//! Where the names of the design sketch that this crate grew from live now:
//!
//! | sketch | here |
//! |---|---|
//! | `WorkerPool` | [`WorkerPool`], generic over request, response and error |
//! | `new` | [`WorkerPool::new`], which takes the service |
//! | `with_config` | [`WorkerPool::with_config`] |
//! | `with_performance_monitor` | [`WorkerPool::with_performance_monitor`], which takes a [`PerformanceMonitor`] |
//! | `execute(request, priority, context)` | [`WorkerPool::execute`], [`WorkerPool::execute_blocking`], [`WorkerPool::execute_timeout`] |
//! | `BatchProcessor` | [`BatchProcessor`], from [`WorkerPool::batch_processor`]; a [`BatchService`] is what it runs |
//! | `BatchProcessorConfig` | [`BatchProcessorConfig`], in [`WorkerPoolConfig::batching`] |
//! | `BatchingQueue` | [`BatchingQueue`], from [`BatchProcessor::queues`] |
//! | `BatchStatistics` | [`BatchStatistics`], with a [`CloseReason`] for each batch and a [`ServiceCurve`] |
//! | `execute_batch(tasks)` | [`WorkerPool::execute_batch`], [`WorkerPool::execute_batch_blocking`] |
//! | `usage_ratio` | [`WorkerPool::usage_ratio`] |
//! | `statistics` | [`WorkerPool::statistics`] |
//! | `shutdown` | [`WorkerPool::shutdown`], [`WorkerPool::shutdown_blocking`], and their [`ShutdownReport`] |
//! | `WorkerPoolConfig` | [`WorkerPoolConfig`], with a [`LaneConfig`] for each lane; `max_workers` is [`WorkerPoolConfig::max_workers`] |
//! | `TaskPriority` | [`TaskPriority`]: `Low`, `Normal`, `High`, `Critical` |
//! | `TaskContext` | [`TaskContext`]: `connection_id`, `message_id`, `batch_id`, `deadline`; also `key` and `tenant` |
//! | `ProcessingTask` | [`ProcessingTask`], a builder |
//! | `ProcessingError` | [`ProcessingError`]; refusals are a [`SubmitError`] |
//! | `WorkerStatistics` | [`WorkerStatistics`] |
//! | `WorkerHealthStatus` | [`WorkerHealthStatus`] |
//! | `WorkerPoolStatistics` | [`WorkerPoolStatistics`], with a [`LaneStatistics`] for each lane |
//! | `SchedulingStrategy` | [`SchedulingStrategy`], all five; `enable_task_stealing` is [`WorkerPoolConfig::enable_task_stealing`] |
//! | `TaskScheduler` | [`TaskScheduler`], from [`WorkerPool::scheduler`] |
//! | `SchedulingStatistics` | [`SchedulingStatistics`] |
//! | `LoadBalancingStrategy` | [`LoadBalancingStrategy`], all five |
//! | `LoadBalancer` | [`LoadBalancer`], from [`WorkerPool::load_balancer`] |
//! | `AdaptiveLoadController` | [`AdaptiveLoadController`] |
//! | `WorkerMetrics` | [`WorkerMetrics`], from [`LoadBalancer::metrics`] |
//!
//! In the source, `ARCHITECTURE.md` follows one request through the modules.
#![cfg_attr(not(feature = "tokio"), doc = "", doc = "[`AsyncService`]: #features")]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "[`AsyncBatchService`]: #features",
    doc = "[`WorkerPool::with_batches_async`]: #features"
)]
#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![deny(unsafe_code)]

mod admission;
mod batch;
mod clock;
mod config;
mod cpus;
mod engine;
mod error;
mod events;
mod idle;
#[cfg(any(test, feature = "internals"))]
#[doc(hidden)]
pub mod internals;
mod lane;
mod panics;
mod pool;
mod reply;
mod schedule;
mod service;
mod stats;
mod sync;
mod task;
mod worker;

pub use admission::OverflowPolicy;
pub use batch::{BatchProcessorConfig, BatchStatistics, CloseReason, MOST_BATCH, ServiceCurve};
pub use clock::{Clock, ManualClock};
pub use config::{
    LaneConfig, MOST_CAPACITY, MOST_STACK, MOST_SUB_RINGS, MOST_WEIGHT, MOST_WORKER_WEIGHT,
    MOST_WORKERS, Reservation, WorkerPoolConfig, WorkerPoolConfigBuilder,
};
pub use error::{
    BuildError, ConfigError, ConfigProblem, ExecuteError, ProcessingError, ResizeError, SubmitError,
};
pub use events::{EventStream, PoolEvent};
pub use pool::{
    BatchProcessor, BatchingQueue, LoadBalancer, PoolBuilder, ResultStream, Returned, RunningTask,
    ShutdownReport, StreamItem, TaskScheduler, WorkerPool,
};
pub use reply::Ticket;
pub use schedule::{
    AdaptiveLoadController, BalanceChange, BalanceWindow, LoadBalancingStrategy,
    SchedulingStatistics, SchedulingStrategy, WorkerMetrics,
};
pub use service::{
    Answers, Batch, BatchFn, BatchService, Service, ServiceFn, batch_fn, service_fn,
};
#[cfg(feature = "tokio")]
pub use service::{
    AsyncBatchFn, AsyncBatchService, AsyncService, AsyncServiceFn, async_batch_fn, async_service_fn,
};
pub use stats::{
    HistogramSnapshot, Imbalance, LaneStatistics, PerformanceMonitor, WorkerHealthStatus,
    WorkerPoolStatistics, WorkerStatistics,
};
pub use task::{Outcome, ProcessingTask, TaskContext, TaskPriority};

#[cfg(all(test, feature = "loom"))]
#[path = "../loom-tests/mod.rs"]
mod loom_tests;
