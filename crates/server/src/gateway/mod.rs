//! The SQL gateway's side of the server: what a gateway may ask, how it runs in this process, how the processes
//! of one data folder talk, and how one takes the place of another.

pub mod control;
pub mod directory;
pub mod embedded;
pub mod handover;
