//! Every public error. Each says in one plain sentence what happened and what can be done.

use std::fmt;
use std::io;

/// What became of an accepted task instead of a response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessingError<E> {
    /// The service returned this error.
    #[error("the service failed: {0}")]
    Failed(#[source] E),
    /// The service panicked with this message. Its worker goes on with fresh state.
    #[error("the service panicked: {0}")]
    Panicked(String),
    /// The service gave another number of answers than the batch had requests, so that none can be told
    /// whose it is.
    #[error("the service gave {answered} answers to a batch of {asked} requests")]
    Unanswered {
        /// The requests of the batch.
        asked: usize,
        /// The answers to it.
        answered: usize,
    },
    /// The deadline passed before a worker was free; or the task, which would have been late in any case, gave way to
    /// others of its [batch](crate#batches). It was not started.
    #[error("the deadline passed before the task was started")]
    Expired,
    /// The task was cancelled before it was started.
    #[error("the task was cancelled before it was started")]
    Cancelled,
    /// The lane's overflow policy dropped the task to make room.
    #[error("the task was dropped to make room for others")]
    Shed,
    /// The pool ended before the task was finished.
    #[error("the pool ended before the task was finished")]
    Abandoned,
}

/// Why a request was not accepted. It holds the request.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitError<Q> {
    /// The lane is full, and the way in or the lane's policy does not wait.
    Full(Q),
    /// The pool is shutting down.
    Closed(Q),
    /// The deadline has passed already.
    Expired(Q),
    /// There is no lane of this number.
    NoSuchLane {
        /// The lane asked for.
        lane: usize,
        /// How many lanes there are.
        lanes: usize,
        /// The request.
        request: Q,
    },
    /// A worker of this pool asked to block on this pool, which can end in a deadlock when every
    /// worker does so.
    Nested(Q),
}

impl<Q> SubmitError<Q> {
    /// Gives the request back.
    pub fn into_request(self) -> Q {
        match self {
            Self::Full(request)
            | Self::Closed(request)
            | Self::Expired(request)
            | Self::NoSuchLane { request, .. }
            | Self::Nested(request) => request,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
            Self::Expired(_) => "Expired",
            Self::NoSuchLane { .. } => "NoSuchLane",
            Self::Nested(_) => "Nested",
        }
    }
}

impl<Q> fmt::Display for SubmitError<Q> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => formatter.write_str("the lane is full: try later, or wait for room"),
            Self::Closed(_) => formatter.write_str("the pool is shutting down"),
            Self::Expired(_) => formatter.write_str("the deadline has passed already"),
            Self::NoSuchLane { lane, lanes, .. } => {
                write!(formatter, "there is no lane {lane}: the pool has lanes 0 to {}", lanes - 1)
            }
            Self::Nested(_) => formatter.write_str(
                "a worker of this pool may not block on this pool: submit without waiting, or use another pool",
            ),
        }
    }
}

impl<Q> fmt::Debug for SubmitError<Q> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple(self.name()).finish_non_exhaustive()
    }
}

impl<Q> std::error::Error for SubmitError<Q> {}

/// Why there is no response to a request.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecuteError<Q, E> {
    /// It was not accepted; the request is inside.
    Refused(SubmitError<Q>),
    /// It was accepted and has another outcome than a response.
    Processing(ProcessingError<E>),
    /// The caller's time was up. The task is cancelled if it has not been started.
    TimedOut,
}

impl<Q, E: fmt::Display> fmt::Display for ExecuteError<Q, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(formatter),
            Self::Processing(failed) => failed.fmt(formatter),
            Self::TimedOut => formatter.write_str("no answer came within the time limit"),
        }
    }
}

impl<Q, E: fmt::Debug> fmt::Debug for ExecuteError<Q, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => formatter.debug_tuple("Refused").field(refused).finish(),
            Self::Processing(failed) => formatter.debug_tuple("Processing").field(failed).finish(),
            Self::TimedOut => formatter.write_str("TimedOut"),
        }
    }
}

impl<Q, E: std::error::Error + 'static> std::error::Error for ExecuteError<Q, E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Processing(ProcessingError::Failed(error)) => Some(error),
            _ => None,
        }
    }
}

impl<Q, E> From<SubmitError<Q>> for ExecuteError<Q, E> {
    fn from(refused: SubmitError<Q>) -> Self {
        Self::Refused(refused)
    }
}

impl<Q, E> From<ProcessingError<E>> for ExecuteError<Q, E> {
    fn from(failed: ProcessingError<E>) -> Self {
        Self::Processing(failed)
    }
}

/// Why a pool could not be built. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system refused a worker's thread.
    #[error(
        "the thread of worker {worker} could not be started ({source}): use fewer workers or a smaller stack"
    )]
    Spawn {
        /// The worker's number.
        worker: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The service panicked while it made a worker's state.
    #[error("the service panicked while it made the state of worker {worker}: {message}")]
    Service {
        /// The worker's number.
        worker: usize,
        /// The panic's message.
        message: String,
    },
    /// The runtime of an async pool whose batches linger has no timer.
    #[error(
        "the tokio runtime has no timer: build it with `enable_time`, or set `batch_timeout` to zero"
    )]
    NoTimer,
    /// An async pool was built outside a tokio runtime.
    #[error("no tokio runtime here: build the pool inside one, or give the builder its handle")]
    NoRuntime,
}

/// Why a pool could not have as many workers as it was told. Workers that were added before stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// The pool cannot have so many, or so few. Nothing is changed.
    #[error("the pool cannot have {asked} workers, allowed: {least} to {most}")]
    OutOfRange {
        /// How many were asked for.
        asked: usize,
        /// One more than are reserved.
        least: usize,
        /// [`max_workers`](crate::WorkerPoolConfig::max_workers).
        most: usize,
    },
    /// The pool is shutting down. Nothing is changed.
    #[error("the pool is shutting down")]
    Closed,
    /// The system refused a worker's thread.
    #[error(
        "the thread of worker {worker} could not be started ({source}): use fewer workers or a smaller stack"
    )]
    Spawn {
        /// The worker's number.
        worker: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The service panicked while it made a worker's state.
    #[error("the service panicked while it made the state of worker {worker}: {message}")]
    Service {
        /// The worker's number.
        worker: usize,
        /// The panic's message.
        message: String,
    },
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

/// One value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The field, as it is written in the configuration.
    pub field: String,
    /// The value it has.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

impl ConfigError {
    pub(crate) fn of(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }

    /// Every problem, in the order of the fields.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is {}, allowed: {}",
            self.field, self.value, self.allowed
        )
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration is not valid: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
