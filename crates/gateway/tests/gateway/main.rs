//! The gateway from outside: a real PostgreSQL server behind it, real clients in front.

mod access;
mod activity;
mod addresses;
mod cancel;
mod certificate;
mod limits;
mod login;
mod reuse;
mod routing;
mod standing;
mod support;
mod traffic;
