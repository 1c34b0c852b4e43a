//! The types of the extensions, which the official description does not have. Unknown members of their
//! requests are refused.

mod backups;
mod clock;
mod events;
mod people;
mod samples;
mod sessions;
mod sql_shell;

pub use backups::*;
pub use clock::*;
pub use events::*;
pub use people::*;
pub use samples::*;
pub use sessions::*;
pub use sql_shell::*;
