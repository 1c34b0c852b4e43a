//! Errors of commands: exit codes and messages.

use super::Cli;
use crate::support::simulated;
use serde_json::Value;
use std::{fs, net::TcpListener};

#[test]
fn each_kind_of_error_has_its_exit_code() {
    let mut server = simulated();
    let cli = Cli::beside(&server);
    let invalid_name = cli.run(&["cluster", "create", "basic", "X"]);
    assert!(
        invalid_name.fails(1).contains("error: invalid argument: name: must be 6 to"),
        "{invalid_name:?}"
    );
    assert!(invalid_name.err.contains("\ntrace ID: "), "{invalid_name:?}");
    assert!(cli.run(&["cluster", "bake"]).fails(2).contains("unrecognized subcommand"));
    assert!(cli.run(&["cluster", "update", "--json"]).fails(2).contains("CLUSTER"));
    cli.run(&["cluster", "create", "basic", "blue-dog"]).ok();
    let absent = cli.run(&["cluster", "info", "bluedog"]);
    assert!(absent.fails(3).contains("did you mean blue-dog?"), "{absent:?}");
    let unknown = "6f4c7b0e-9c53-4b12-8a53-0f6a1f1f3f11";
    assert!(cli.run(&["cluster", "info", unknown]).fails(3).contains("trace ID: "));
    assert_eq!(cli.run(&["cluster", "update", "blue-dog"]).code, 2);

    let address = fs::read_to_string(server.data_dir().join("api-address")).expect("the address");
    let weak = server.new_key(&["METRICS_VIEWER"]);
    let other = Cli::new().with("OOTHECA_SERVER", address.trim());
    let other = other.with("OOTHECA_API_KEY", &weak);
    let denied = other.run(&["cluster", "delete", "blue-dog", "--yes"]);
    assert!(denied.fails(4).contains("hint: `ootheca whoami`"), "{denied:?}");
    let other = other.with("OOTHECA_API_KEY", "CCDB1_unknown_key");
    other.run(&["cluster", "list"]).fails(4);

    server.terminate();
    let stopped = cli.run(&["cluster", "list"]);
    assert!(stopped.fails(5).contains("ootheca serve"), "{stopped:?}");
    assert!(other.run(&["cluster", "list"]).fails(5).contains("could not connect to"));
}

#[test]
fn with_json_a_failure_is_json_on_standard_error() {
    let server = simulated();
    let cli = Cli::beside(&server);
    for words in [
        ["cluster", "info", "blue-dog", "--json"],
        ["cluster", "info", "blue-dog", "--output=json"],
        ["cluster", "--json", "info", "blue-dog"],
    ] {
        let failed = cli.run(&words);
        let error: Value = serde_json::from_str(failed.fails(3)).expect("JSON");
        assert_eq!(error["error"]["exit"], 3);
        assert!(error["error"]["message"].as_str().expect("a message").contains("blue-dog"));
    }
}

#[test]
fn errors_have_no_color_with_no_color_set() {
    let server = simulated();
    let cli = Cli::beside(&server).with("NO_COLOR", "1");
    let failed = cli.run(&["cluster", "info", "blue-dog"]);
    assert!(failed.fails(3).starts_with("error: cluster \"blue-dog\" not found\n"), "{failed:?}");
}

/// Following a redirect would send the key to another server.
#[test]
fn a_redirect_is_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let answerer = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a caller");
        let mut request = [0; 4096];
        let read = stream.read(&mut request).expect("a request");
        let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).expect("answered");
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let cli = Cli::new().with("OOTHECA_SERVER", &format!("http://{address}"));
    let cli = cli.with("OOTHECA_API_KEY", "CCDB1_some_key");
    let failed = cli.run(&["cluster", "list"]);
    assert!(failed.fails(1).contains("responded with a redirect (status 302)"), "{failed:?}");
    let request = answerer.join().expect("it ended").to_lowercase();
    assert!(
        request.contains("user-agent: ootheca/") && request.contains("bearer ccdb1_some_key"),
        "{request}"
    );
}
