#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ootheca_pg_protocol::fuzzing::message(bytes));
