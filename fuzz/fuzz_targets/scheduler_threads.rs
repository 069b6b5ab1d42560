#![no_main]

use lanepool_fuzz::scheduler::{Scenario, run_threads};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|scenario: Scenario| run_threads(&scenario));
