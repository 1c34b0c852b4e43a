//! The gateway from outside: a real PostgreSQL server behind it, real clients in front.

mod access;
mod cancel;
mod limits;
mod routing;
mod support;
mod traffic;
