//! The wire format of the Cloud API: its operations, and how requests are decoded and responses are encoded
//! in every version. Does not depend on storage, engines, or sockets.
//!
//! [`operations`] is the table that everything is derived from. A request passes through [`versions`],
//! [`router`], and [`decode`]. A response is one of the [`wire`] types, converted by
//! [`versions::Version::downgrade`], or an [`error`].

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
