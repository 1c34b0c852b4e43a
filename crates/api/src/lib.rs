//! The wire of the Cloud API: which operations there are, what their requests mean and how their
//! answers look, in every dialect. Knows nothing of storage, engines or sockets.
//!
//! [`operations`] is the table that everything is derived from. A request passes [`versions`],
//! [`router`] and [`decode`]; an answer is one of the [`wire`] types, finished by
//! [`versions::Version::render`], or an [`error`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod requests;

pub mod decode;
pub mod error;
pub mod extensions;
pub mod openapi;
pub mod operations;
pub mod page;
pub mod params;
pub mod router;
pub mod scim;
pub mod versions;
pub mod wire;

#[cfg(test)]
mod expected;
