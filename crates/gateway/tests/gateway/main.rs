//! The gateway between real clients and a real PostgreSQL server.

mod access;
mod activity;
mod addresses;
mod admission_state;
mod cancel;
mod certificate;
mod guessing;
mod limits;
mod login;
mod pool;
mod relay;
mod routing;
mod support;
