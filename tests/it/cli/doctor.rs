//! `ootheca doctor`, on the machine that runs the tests.

use super::{Cli, Output};
use crate::support::simulated;
use serde_json::Value;
use std::net::TcpListener;

fn finding(ran: &Output, check: &str) -> Value {
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(answer["healthy"] == true, ran.code == 0, "{ran:?}");
    let findings = answer["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["check"] == check).expect("that check").clone()
}

#[test]
fn checks_pass_on_this_machine_except_for_a_port_in_use() {
    let cli = Cli::new();
    let folder = cli.home().join("data").display().to_string();
    let free = ["doctor", "--data-dir", &folder, "--listen", "127.0.0.1:0", "--sql-listen", "127.0.0.1:0"];
    let ran = cli.run(&[&free[..], &["--json"]].concat());
    assert_eq!(finding(&ran, "SQL server")["verdict"], "ok");
    let sandbox = finding(&ran, "sandbox");
    assert!(sandbox["verdict"] != "fail" && sandbox.to_string().contains("Landlock"), "{sandbox}");
    assert_eq!(finding(&ran, "data directory")["verdict"], "ok");
    assert_eq!(finding(&ran, "API port")["verdict"], "ok");
    assert!(!cli.home().join("data").exists(), "the data directory is not created");

    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("its address").to_string();
    let taken = ["doctor", "--data-dir", &folder, "--sql-listen", &address];
    let ran = cli.run(&[&taken[..], &["--json"]].concat());
    assert_eq!((ran.code, finding(&ran, "SQL port")["verdict"].as_str()), (1, Some("fail")), "{ran:?}");
    let result = cli.run(&taken);
    assert!(
        result.out.contains("fail  SQL port") && result.out.contains("→ choose another port"),
        "{result:?}"
    );
    assert!(result.err.contains("a server can't run on this machine yet"), "{result:?}");
}

#[test]
fn ports_of_the_running_server_are_ok() {
    let server = simulated();
    let address = server.client().address();
    let words = ["doctor", "--listen", address, "--json"];
    let ran = Cli::beside(&server).run(&words);
    assert_eq!(finding(&ran, "API port")["verdict"], "ok", "{ran:?}");
    assert!(Cli::new().run(&words).out.contains("another program is using it"));
}
