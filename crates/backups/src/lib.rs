//! The repository of backups: its format, its encryption, and the access to a directory or an S3 bucket.
//!
//! This crate knows neither PostgreSQL nor the store. A base is a stream of bytes, and a WAL segment is a small file
//! with a name.

mod archive;
mod failure;
mod folder;
mod key;
mod location;
mod reader;
mod repository;
mod seal;
mod upload;

pub use archive::Archive;
pub use key::RecoveryKey;
pub use location::check_url;
pub use repository::Repository;
