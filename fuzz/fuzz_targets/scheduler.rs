#![no_main]

use lanepool_fuzz::scheduler::{Scenario, run_tasks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|scenario: Scenario| run_tasks(&scenario));
