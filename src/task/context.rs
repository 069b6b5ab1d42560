//! What a caller says about a request.

use std::time::{Duration, Instant};

use crate::clock;

/// Who asks, what for, and until when. The service gets it with the request.
///
/// Every part is optional. 48 bytes, `Copy`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lanepool::TaskContext;
///
/// let context = TaskContext::new()
///     .with_connection_id(7)
///     .with_message_id(1001)
///     .with_timeout(Duration::from_secs(2));
/// assert_eq!(context.connection_id(), Some(7));
/// assert_eq!(context.batch_id(), None);
/// assert!(context.deadline().is_some());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskContext {
    connection_id: u64,
    message_id: u64,
    batch_id: u64,
    key: u64,
    /// Nanoseconds since the process's epoch.
    deadline_ns: u64,
    tenant: u32,
    /// Which of the above are given; an `Option` for each would double the size.
    given: u8,
}

const CONNECTION: u8 = 1;
const MESSAGE: u8 = 2;
const BATCH: u8 = 4;
const KEY: u8 = 8;
const TENANT: u8 = 16;
const DEADLINE: u8 = 32;

macro_rules! optional_number {
    ($field:ident, $setter:ident, $bit:ident, $type:ty, $what:literal) => {
        #[doc = concat!("Sets ", $what, ".")]
        #[must_use]
        pub fn $setter(mut self, $field: $type) -> Self {
            self.$field = $field;
            self.given |= $bit;
            self
        }

        #[doc = concat!($what, ", if given.")]
        pub fn $field(&self) -> Option<$type> {
            (self.given & $bit != 0).then_some(self.$field)
        }
    };
}

impl TaskContext {
    /// Says nothing.
    pub(crate) const EMPTY: Self = Self {
        connection_id: 0,
        message_id: 0,
        batch_id: 0,
        key: 0,
        deadline_ns: 0,
        tenant: 0,
        given: 0,
    };

    /// A context that says nothing.
    #[inline(always)]
    pub const fn new() -> Self {
        Self::EMPTY
    }

    optional_number!(
        connection_id,
        with_connection_id,
        CONNECTION,
        u64,
        "the connection's number"
    );
    optional_number!(
        message_id,
        with_message_id,
        MESSAGE,
        u64,
        "the message's number"
    );
    optional_number!(batch_id, with_batch_id, BATCH, u64, "the batch's number");
    optional_number!(
        key,
        with_key,
        KEY,
        u64,
        "the key of the data the request works on"
    );
    optional_number!(
        tenant,
        with_tenant,
        TENANT,
        u32,
        "the tenant on whose behalf it runs"
    );

    /// Sets the moment after which the task must not be started.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.set_deadline_ns(Some(clock::to_ns(deadline)));
        self
    }

    /// Sets the deadline to `timeout` from now. A timeout too long for the clock sets none.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.with_deadline(deadline),
            None => self,
        }
    }

    /// The moment after which the task is not started.
    pub fn deadline(&self) -> Option<Instant> {
        self.has_deadline()
            .then(|| clock::from_ns(self.deadline_ns))
    }

    /// Whether there is a deadline.
    #[inline(always)]
    pub(crate) fn has_deadline(&self) -> bool {
        self.given & DEADLINE != 0
    }

    /// The deadline, in nanoseconds since the process's epoch.
    #[inline(always)]
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.has_deadline().then_some(self.deadline_ns)
    }

    /// Sets the deadline if there is one.
    #[inline(always)]
    pub(crate) fn set_deadline_ns(&mut self, deadline_ns: Option<u64>) {
        if let Some(deadline_ns) = deadline_ns {
            self.deadline_ns = deadline_ns;
            self.given |= DEADLINE;
        }
    }

    /// Whether it says nothing.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.given == 0
    }

    /// The connection's and the message's number, 0 where not given.
    #[inline(always)]
    pub(crate) fn numbers(&self) -> (u64, u64) {
        (self.connection_id, self.message_id)
    }

    /// Whether there is a deadline and it has passed. Reads the clock only if there is one.
    #[inline(always)]
    pub(crate) fn expired(&self, now_ns: impl FnOnce() -> u64) -> bool {
        self.has_deadline() && now_ns() >= self.deadline_ns
    }
}

impl Default for TaskContext {
    #[inline(always)]
    fn default() -> Self {
        Self::EMPTY
    }
}

impl std::fmt::Debug for TaskContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("TaskContext");
        let numbers = [
            ("connection_id", self.connection_id()),
            ("message_id", self.message_id()),
            ("batch_id", self.batch_id()),
            ("key", self.key()),
            ("tenant", self.tenant().map(u64::from)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                fields.field(name, &number);
            }
        }
        if let Some(deadline) = self.deadline() {
            fields.field("deadline", &deadline);
        }
        fields.finish()
    }
}
