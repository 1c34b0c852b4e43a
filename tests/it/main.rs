//! The integration tests: the real program, real SQL servers, real `psql`. Modules mirror the API.

mod allowlist;
mod audit;
mod clients;
mod clock;
mod clusters;
mod crash;
mod databases;
mod engine;
mod expected;
mod gate;
mod lifecycle;
mod limits;
mod page;
mod paging;
mod roles;
mod sql;
mod store;
mod support;
mod suspend;
