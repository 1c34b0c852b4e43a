//! `ootheca doctor`, on this very machine.

use super::{Person, Ran};
use crate::support::simulated;
use serde_json::Value;
use std::net::TcpListener;

fn finding(ran: &Ran, check: &str) -> Value {
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(answer["healthy"] == true, ran.code == 0, "{ran:?}");
    let findings = answer["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["check"] == check).expect("that check").clone()
}

#[test]
fn this_machine_can_run_a_server_but_not_on_a_taken_port() {
    let person = Person::new();
    let folder = person.home().join("data").display().to_string();
    let free = ["doctor", "--data-dir", &folder, "--listen", "127.0.0.1:0", "--sql-listen", "127.0.0.1:0"];
    let ran = person.run(&[&free[..], &["--json"]].concat());
    assert_eq!(finding(&ran, "SQL server")["verdict"], "ok");
    assert_eq!(finding(&ran, "data folder")["verdict"], "ok");
    assert_eq!(finding(&ran, "port of the API")["verdict"], "ok");
    assert!(!person.home().join("data").exists(), "it only looks");

    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("its address").to_string();
    let taken = ["doctor", "--data-dir", &folder, "--sql-listen", &address];
    let ran = person.run(&[&taken[..], &["--json"]].concat());
    assert_eq!((ran.code, finding(&ran, "port of SQL")["verdict"].as_str()), (1, Some("fail")), "{ran:?}");
    let told = person.run(&taken);
    assert!(told.out.contains("fail  port of SQL") && told.out.contains("→ choose another one"), "{told:?}");
    assert!(told.err.contains("a server can not run here as it is"), "{told:?}");
}

#[test]
fn a_running_server_may_have_its_own_ports() {
    let server = simulated();
    let address = server.client().address();
    let words = ["doctor", "--listen", address, "--json"];
    let ran = Person::beside(&server).run(&words);
    assert_eq!(finding(&ran, "port of the API")["verdict"], "ok", "{ran:?}");
    assert!(Person::new().run(&words).out.contains("another program has it"));
}
