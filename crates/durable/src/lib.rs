//! Durable side effects: files that are written atomically, and the failpoints of the crash test.
//!
//! This crate knows nothing about the domain, so that every crate with side effects can use it.

pub mod failpoint;
pub mod file;
