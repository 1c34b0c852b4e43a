//! The console in a real browser. `console/tests` contains the tests; Playwright runs them, and each spec
//! file starts the server that it needs. `./dev test` installs what they use.

mod many;

use crate::support::PROGRAM;
use ootheca_testkit::{Ootheca, ServerBuilder};
use std::{path::PathBuf, process::Command};

/// The command that runs one spec file of `console/tests`.
fn playwright(spec: &str) -> Command {
    let console = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../console");
    let mut command = Command::new("node");
    command.arg(console.join("node_modules/@playwright/test/cli.js")).arg("test");
    command.arg("--config").arg(console.join("tests/playwright.config.ts"));
    // Specs run at the same time, so each has its own directory for the output of failed tests.
    command.arg("--output").arg(console.join("../target/console-failures").join(spec));
    command.arg(format!("/{spec}.spec.ts")).env("OOTHECA_PROGRAM", PROGRAM);
    command
}

#[track_caller]
fn passes(mut command: Command) {
    let status = command.status().unwrap_or_else(|error| panic!("node: {error}; ./dev test installs it"));
    assert!(status.success(), "{status}; see the output of Playwright above");
}

#[test]
fn sign_in() {
    passes(playwright("sign-in"));
}

#[test]
fn first_cluster() {
    passes(playwright("first-cluster"));
}

#[test]
fn clusters() {
    passes(playwright("clusters"));
}

#[test]
fn cluster_with_sql_server() {
    passes(playwright("cluster"));
}

#[test]
fn networking() {
    passes(playwright("networking"));
}

#[test]
fn backups() {
    passes(playwright("backups"));
}

#[test]
fn disabled_backups() {
    passes(playwright("backups-disabled"));
}

#[test]
fn clones() {
    passes(playwright("clones"));
}

#[test]
fn maintenance() {
    passes(playwright("maintenance"));
}

#[test]
fn organization() {
    passes(playwright("organization"));
}

#[test]
fn resilience() {
    passes(playwright("resilience"));
}

#[test]
fn every_page_is_accessible_and_fits_a_narrow_screen() {
    passes(playwright("pages"));
}

#[test]
fn every_page_of_a_cluster_is_accessible_and_fits_a_narrow_screen() {
    passes(playwright("cluster-pages"));
}

#[test]
fn form_validation_matches_the_server() {
    passes(playwright("limits"));
}

#[test]
fn ten_thousand_clusters() {
    let mut server: Ootheca = ServerBuilder::new(PROGRAM).boot();
    many::create_clusters(&mut server, 10_000);
    let mut command = playwright("many-clusters");
    command.env("OOTHECA_SERVER", server.base()).env("OOTHECA_API_KEY", server.admin_key());
    passes(command);
}
