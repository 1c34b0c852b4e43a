#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ootheca_gateway::fuzzing::storage_guard(bytes));
