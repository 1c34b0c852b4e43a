//! The benchmarks of `./dev bench`. Each figure is a ratio to another program or to a lower bound, measured
//! in the same run.
//!
//! Usage: `bench OOTHECA [NAME…]`, with the names `create`, `databases`, `api`, `admission`, `list`, `start`,
//! `gateway`, `suspend`, `backup`, `backup-cost`, and `clone`. Without names, all of them run. `bench compare BEFORE AFTER [PAIRS]`
//! compares two versions of the server.

mod api;
mod backup;
mod compare;
mod create;
mod databases;
mod gateway;
mod start;
mod stats;
mod suspend;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(program) = args.next() else {
        eprintln!(
            "usage: bench OOTHECA [create|databases|api|admission|list|start|gateway|suspend|backup|backup-cost|clone]…"
        );
        return ExitCode::from(2);
    };
    if program == "bare" {
        return api::bare(&args.next().unwrap_or_default());
    }
    if program == "compare" {
        return compare::run(args);
    }
    let names: Vec<String> = args.collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    if wanted("create") {
        create::run(&program);
    }
    if wanted("databases") {
        databases::run(&program);
    }
    if wanted("api") {
        api::run(&program);
    }
    if wanted("admission") {
        api::admission(&program);
    }
    if wanted("list") {
        api::list(&program);
    }
    if wanted("start") {
        start::run(&program);
    }
    if wanted("gateway") {
        gateway::run(&program);
    }
    if wanted("suspend") {
        suspend::run(&program);
    }
    if wanted("backup") {
        backup::run(&program);
    }
    if wanted("backup-cost") {
        backup::cost(&program);
    }
    if wanted("clone") {
        backup::clone(&program);
    }
    ExitCode::SUCCESS
}
