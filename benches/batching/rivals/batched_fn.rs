//! The crate `batched-fn`: a thread and a channel in a static, made by a macro.

use std::sync::{Arc, LazyLock};

use batched_fn::batched_fn;
use lanepool_bench::Result;

use super::{LINGER, Rival, SERVICES, SIZE};
use crate::service::{Cost, Emulated, Served, answer_to};

/// The macro makes one handler for each place in the source where it stands, so there is a function for
/// each service, and a rival that is started twice is the same one.
macro_rules! handler {
    ($call:ident, $served:ident, $cost:expr) => {
        static $served: LazyLock<Arc<Served>> = LazyLock::new(Arc::default);

        async fn $call(number: u64) -> std::result::Result<u64, batched_fn::Error> {
            let call = batched_fn! {
                handler = |numbers: Vec<u64>, service: &Emulated| -> Vec<u64> {
                    service.run(numbers.len());
                    numbers.into_iter().map(answer_to).collect()
                };
                config = {
                    max_batch_size: SIZE,
                    max_delay: LINGER.as_millis(),
                };
                context = {
                    service: Emulated::new($cost, Arc::clone(&$served)),
                };
            };
            call(number).await
        }
    };
}

handler!(call_first, FIRST_SERVED, SERVICES[0]);
handler!(call_second, SECOND_SERVED, SERVICES[1]);

pub(super) struct BatchedFn {
    is_first: bool,
}

impl Rival for BatchedFn {
    const NAME: &'static str = "batched-fn";
    const NOTE: &'static str = "The macro `batched_fn!` as its documentation has it: vectors, the service as \
        context, no bound of the channel, so that nothing is refused. It lingers for whole milliseconds, \
        and after less than one for another; with no linger at all it would never batch.";

    fn start(cost: Cost) -> Result<Self> {
        let place = SERVICES.iter().position(|service| *service == cost);
        Ok(Self {
            is_first: place.ok_or("there is no handler for this service")? == 0,
        })
    }

    async fn call(&self, number: u64) -> Result<u64> {
        let answer = if self.is_first {
            call_first(number).await
        } else {
            call_second(number).await
        };
        // The crate's error is no `std::error::Error`.
        answer.map_err(|error| format!("batched-fn did not answer: {error:?}").into())
    }

    fn served(&self) -> &Served {
        if self.is_first {
            &FIRST_SERVED
        } else {
            &SECOND_SERVED
        }
    }

    /// It cannot be ended, and keeps no books.
    fn finish(self, _answered: u64) -> Result<()> {
        Ok(())
    }
}
