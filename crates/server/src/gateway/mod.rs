//! The server's side of the SQL gateway: the directory, the embedded gateway, communication between the
//! processes of a data directory, and handover from one process to another.

pub mod control;
pub mod directory;
pub mod embedded;
pub mod handover;
