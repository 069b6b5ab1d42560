//! The small builder in which a request is handed in.

use std::time::{Duration, Instant};

use super::TaskContext;

/// How urgent a request is.
///
/// In a pool of four lanes each priority has its own. In others a priority goes to the nearest lane:
/// `Critical` to the top one, `Low` to the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum TaskPriority {
    /// Whenever there is nothing else to do, and at its guaranteed share otherwise.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// Before everything.
    Critical,
}

impl TaskPriority {
    /// All priorities, lowest first.
    pub const ALL: [TaskPriority; 4] = [
        TaskPriority::Low,
        TaskPriority::Normal,
        TaskPriority::High,
        TaskPriority::Critical,
    ];

    /// The lane of this priority in a pool of `lanes` lanes: the nearest, ends to ends.
    ///
    /// # Examples
    /// ```
    /// use lanepool::TaskPriority::*;
    /// assert_eq!([Low, Normal, High, Critical].map(|p| p.lane(4)), [0, 1, 2, 3]);
    /// assert_eq!([Low, Normal, High, Critical].map(|p| p.lane(2)), [0, 0, 1, 1]);
    /// assert_eq!([Low, Normal, High, Critical].map(|p| p.lane(8)), [0, 2, 5, 7]);
    /// ```
    #[inline]
    pub const fn lane(self, lanes: usize) -> usize {
        // Rounds `priority * (lanes - 1) / 3` to the nearest.
        (self as usize * lanes.saturating_sub(1) * 2 + 3) / 6
    }
}

/// Where a task goes: to a priority's lane or to one by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Priority(TaskPriority),
    Lane(usize),
}

/// A request with everything the pool needs to know about it.
///
/// A bare request converts: `pool.try_submit(request)` is a task of normal priority.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lanepool::{ProcessingTask, TaskPriority};
///
/// let task = ProcessingTask::new("Assets/Player.cs")
///     .priority(TaskPriority::High)
///     .timeout(Duration::from_secs(1))
///     .connection_id(42);
/// assert_eq!(*task.request(), "Assets/Player.cs");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a task does nothing until it is submitted"]
pub struct ProcessingTask<Q> {
    pub(crate) request: Q,
    pub(crate) context: TaskContext,
    pub(crate) address: Address,
}

impl<Q> ProcessingTask<Q> {
    /// A task of normal priority that says nothing else.
    #[inline(always)]
    pub fn new(request: Q) -> Self {
        let address = Address::Priority(TaskPriority::Normal);
        Self {
            request,
            context: TaskContext::default(),
            address,
        }
    }

    /// Sets the priority.
    #[inline]
    pub fn priority(mut self, priority: TaskPriority) -> Self {
        self.address = Address::Priority(priority);
        self
    }

    /// Sets the lane by its number, 0 being the lowest. For pools with other than four lanes.
    #[inline]
    pub fn lane(mut self, lane: usize) -> Self {
        self.address = Address::Lane(lane);
        self
    }

    /// Replaces the whole context.
    #[inline]
    pub fn context(mut self, context: TaskContext) -> Self {
        self.context = context;
        self
    }

    /// Sets the moment after which the task must not be started.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.context = self.context.with_deadline(deadline);
        self
    }

    /// Sets the deadline to `timeout` from now.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.context = self.context.with_timeout(timeout);
        self
    }

    /// Sets the key of the data the request works on.
    pub fn key(mut self, key: u64) -> Self {
        self.context = self.context.with_key(key);
        self
    }

    /// Sets the tenant on whose behalf it runs.
    pub fn tenant(mut self, tenant: u32) -> Self {
        self.context = self.context.with_tenant(tenant);
        self
    }

    /// Sets the connection's number.
    pub fn connection_id(mut self, connection_id: u64) -> Self {
        self.context = self.context.with_connection_id(connection_id);
        self
    }

    /// Sets the message's number.
    pub fn message_id(mut self, message_id: u64) -> Self {
        self.context = self.context.with_message_id(message_id);
        self
    }

    /// Sets the batch's number.
    pub fn batch_id(mut self, batch_id: u64) -> Self {
        self.context = self.context.with_batch_id(batch_id);
        self
    }

    /// The request.
    pub fn request(&self) -> &Q {
        &self.request
    }

    /// Gives the request back.
    pub fn into_request(self) -> Q {
        self.request
    }
}

impl<Q> From<Q> for ProcessingTask<Q> {
    #[inline(always)]
    fn from(request: Q) -> Self {
        Self::new(request)
    }
}
