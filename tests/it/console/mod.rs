//! The console in a real browser: `console/tests/<scenario>.mjs` drives Chromium, this side runs the server
//! and does with it what a scenario asks for on a line of its output. `./dev test` installs what they need.

mod many;

use crate::{sessions::person, support::PROGRAM};
use ootheca_testkit::{Engine, Launch, Ootheca};
use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

/// A server with somebody who may do everything; its address stays over restarts, since pages are open.
fn furnished(engine: Engine) -> Ootheca {
    let mut server = Launch::new(PROGRAM).engine(engine).boot();
    server.stay();
    person(&server, "ada@example.com", &["ORG_ADMIN", "CLUSTER_ADMIN", "FOLDER_ADMIN"]);
    server
}

/// Runs a scenario; each of its steps says `ok`.
fn passes(server: &mut Ootheca, scenario: &str) {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new("node");
    command.arg(repository.join("console/tests").join(scenario).with_extension("mjs"));
    command.env("OOTHECA_SERVER", server.base()).env("OOTHECA_API_KEY", server.admin_key());
    command.env("OOTHECA_CA", server.data_dir().join("certificates/ca.pem"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("node: {error}; ./dev test installs it"));
    let mut answers = child.stdin.take().expect("its input");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut passed = 0;
    for line in lines {
        let line = line.expect("text");
        println!("{line}");
        passed += usize::from(line.starts_with("ok "));
        if let Some(wish) = line.strip_prefix("ASK ") {
            grant(server, wish);
            writeln!(answers, "DONE").expect("it listens");
        }
    }
    let status = child.wait().expect("it ends");
    assert!(status.success() && passed > 0, "{scenario}: {status}, {passed} steps passed; see above");
}

/// What a scenario may ask of the server.
fn grant(server: &mut Ootheca, wish: &str) {
    match wish {
        "stop" => server.terminate(),
        "start" if server.runs() => {}
        "start" => server.start(),
        wish => panic!("unknown: {wish}"),
    }
}

#[test]
fn people_come_in_and_leave() {
    passes(&mut furnished(Engine::Simulated), "sign-in");
}

#[test]
fn clusters_are_made_found_and_followed() {
    passes(&mut furnished(Engine::Simulated), "clusters");
}

#[test]
fn a_cluster_is_used() {
    passes(&mut furnished(Engine::Postgres), "cluster");
}

#[test]
fn an_organization_is_run() {
    passes(&mut furnished(Engine::Simulated), "organization");
}

#[test]
fn what_goes_wrong_is_said() {
    passes(&mut furnished(Engine::Simulated), "trouble");
}

#[test]
fn every_page_is_light_accessible_and_narrow() {
    passes(&mut furnished(Engine::Simulated), "pages");
}

#[test]
fn ten_thousand_clusters_are_listed() {
    let mut server = furnished(Engine::Simulated);
    many::clusters(&mut server, 10_000);
    passes(&mut server, "many");
}
