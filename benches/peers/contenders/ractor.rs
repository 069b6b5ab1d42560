//! ractor's factory: actors behind an actor that queues for them, by priority.

use ractor::{
    Actor, ActorProcessingErr,
    concurrency::JoinHandle,
    factory::{
        Factory, FactoryArguments, FactoryRef, Job, Worker, WorkerBuilder, WorkerId,
        queues::{PriorityManager, PriorityQueue, StandardPriority},
        routing::QueuerRouting,
    },
};
use tokio::runtime::Runtime;

use super::{
    combined::Combined,
    panics::surfacing,
    replies::Request,
    runtime::multi_thread_with_timers,
    spawned::Spawner,
    typed::{Ask, Carrier, Fire},
};
use crate::contender::{Contender, Kind, Priority, Serve, ServeBatch, Shape, Task};

pub(crate) enum Ractor {}

impl Contender for Ractor {
    const NAME: &'static str = "ractor";
    const KIND: Kind = Kind::Priorities;
    const NOTE: &'static str = "A factory with its priority queue and queuer routing, on a tokio \
        runtime of its own with as many threads as workers. Typed messages, but a factory has no \
        bound that makes senders wait, so it is unbounded. Batches by a shared list, as with the \
        pools of closures: a message is then a boxed closure.";

    type Tasks<T: Task> = Fire<Staff<T>>;
    type Calls<S: Serve> = Ask<Staff<Request>>;
    type Batches<S: ServeBatch> = Combined<Staff<Closure>, S>;

    fn tasks<T: Task>(shape: Shape) -> Self::Tasks<T> {
        Fire(open(shape, T::run))
    }

    fn calls<S: Serve>(shape: Shape, serve: S) -> Self::Calls<S> {
        let answer = move |request: Request| request.answer(|number| serve.serve(number));
        Ask(open(shape, answer))
    }

    fn batches<S: ServeBatch>(shape: Shape, most: usize, serve: S) -> Self::Batches<S> {
        Combined::start(shape, most, serve)
    }
}

pub(crate) struct Staff<M: Send + 'static> {
    factory: FactoryRef<StandardPriority, M>,
    ended: JoinHandle<()>,
    runtime: Runtime,
}

type Closure = Box<dyn FnOnce() + Send>;

/// The key of a job is its priority.
struct ByKey;

impl PriorityManager<StandardPriority, StandardPriority> for ByKey {
    fn is_discardable(&self, _: &StandardPriority) -> bool {
        false
    }

    fn get_priority(&self, key: &StandardPriority) -> Option<StandardPriority> {
        Some(*key)
    }
}

/// A worker: an actor that handles messages of type `M`.
struct Handler<M, F> {
    handle: F,
    message: std::marker::PhantomData<fn(M)>,
}

impl<M: Send + 'static, F: Fn(M) + Send + Sync + 'static> Worker for Handler<M, F> {
    type Key = StandardPriority;
    type Message = M;
    type Arguments = ();
    type State = ();

    async fn pre_start(
        &self,
        _: WorkerId,
        _: &FactoryRef<StandardPriority, M>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &FactoryRef<StandardPriority, M>,
        Job { key, msg, .. }: Job<StandardPriority, M>,
        (): &mut (),
    ) -> Result<StandardPriority, ActorProcessingErr> {
        surfacing(|| (self.handle)(msg));
        Ok(key)
    }
}

struct Build<F>(F);

impl<M, F> WorkerBuilder<Handler<M, F>, ()> for Build<F>
where
    M: Send + 'static,
    F: Fn(M) + Clone + Send + Sync + 'static,
{
    fn build(&mut self, _: WorkerId) -> (Handler<M, F>, ()) {
        let handler = Handler {
            handle: self.0.clone(),
            message: std::marker::PhantomData,
        };
        (handler, ())
    }
}

type Waiting<M> =
    PriorityQueue<StandardPriority, M, StandardPriority, ByKey, { StandardPriority::size() }>;

/// Starts a factory whose workers handle messages so.
fn open<M, F>(shape: Shape, handle: F) -> Staff<M>
where
    M: Send + 'static,
    F: Fn(M) + Clone + Send + Sync + 'static,
{
    // A factory looks after its workers by the clock.
    let runtime = multi_thread_with_timers(shape.workers);
    let definition = Factory::<
        StandardPriority,
        M,
        (),
        Handler<M, F>,
        QueuerRouting<StandardPriority, M>,
        Waiting<M>,
    >::default();
    let arguments = FactoryArguments::builder()
        .worker_builder(Box::new(Build(handle)))
        .num_initial_workers(shape.workers)
        .router(QueuerRouting::default())
        .queue(PriorityQueue::new(ByKey))
        .build();
    let (factory, ended) = runtime
        .block_on(Actor::spawn(None, definition, arguments))
        .expect("the factory starts");
    Staff {
        factory,
        ended,
        runtime,
    }
}

impl<M: Send + 'static> Carrier<M> for Staff<M> {
    fn send(&self, message: M, priority: Priority) {
        let key = match priority {
            Priority::Critical => StandardPriority::Highest,
            Priority::High => StandardPriority::High,
            Priority::Normal => StandardPriority::Normal,
            Priority::Low => StandardPriority::BestEffort,
        };
        if self.factory.dispatch(key, message).is_err() {
            panic!("the factory is gone");
        }
    }

    async fn send_async(&self, message: M, priority: Priority) {
        self.send(message, priority);
    }

    fn finish(self) {
        if self.factory.drain_requests().is_err() {
            panic!("the factory is gone");
        }
        self.runtime
            .block_on(self.ended)
            .expect("the factory does not panic");
        drop(self.runtime);
    }
}

/// Runs closures as messages.
impl Spawner for Staff<Closure> {
    fn start(shape: Shape) -> Self {
        open(shape, |closure: Closure| closure())
    }

    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.send(Box::new(job), Priority::Normal);
    }

    fn finish(self) {
        Carrier::finish(self);
    }
}
