//! The integration tests: the real program, real SQL servers, real `psql`. Modules mirror the API.

mod allowlist;
mod audit;
mod clients;
mod clock;
mod clusters;
mod crash;
mod databases;
mod drivers;
mod engine;
mod expected;
mod faults;
mod gate;
mod gateway_process;
mod lifecycle;
mod limits;
mod metrics;
mod page;
mod paging;
mod protocol;
mod roles;
mod scim;
mod sql;
mod store;
mod support;
mod suspend;
mod takeover;
