//! Starting, stopping, and errors at the start.

use crate::support::{PASSWORD, PROGRAM, id, simulated};
use ootheca_testkit::{Folder, Ootheca, ServerBuilder, eventually, processes};
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::Output,
    time::{Duration, Instant},
};

/// Starts a `serve` that must fail, and returns its output.
fn refused(arrange: impl FnOnce(&mut std::process::Command)) -> String {
    let folder = Folder::new();
    let mut command = ServerBuilder::new(PROGRAM).program();
    command.args(["serve", "--engine", "simulated"]).arg("--data-dir").arg(folder.path().join("data"));
    arrange(&mut command);
    let Output { status, stderr, .. } = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "the server started: {text}");
    text
}

#[test]
fn a_restart_keeps_everything() {
    let mut server = simulated();
    let cluster = server.create_cluster("some-cluster", "STANDARD");
    let users = format!("/clusters/{}/sql-users", id(&cluster));
    server.post(&users, json!({ "name": "maxroach", "password": PASSWORD })).ok();
    let key = server.new_key(&["CLUSTER_DEVELOPER"]);
    let (admin_key, organization) = (server.admin_key(), server.get("/organization").ok().clone());
    let entries = crate::support::audit_log(&server).len();
    server.restart();
    assert_eq!(server.admin_key(), admin_key, "the key is created once");
    assert_eq!(*server.get("/organization").ok(), organization);
    assert_eq!(server.when_created(&id(&cluster)), cluster);
    assert_eq!(server.get(&users).ok()["users"], json!([{ "name": "maxroach" }]));
    server.with_key(&key).get("/clusters").ok();
    assert_eq!(crate::support::audit_log(&server).len(), entries);
    server.kill();
    server.start();
    assert_eq!(server.when_created(&id(&cluster)), cluster);
}

#[test]
fn files_are_private() {
    let server = simulated();
    let mode = |name: &str| {
        let data =
            fs::metadata(server.data_dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        data.permissions().mode() & 0o777
    };
    for name in ["admin-api-key", "store.db"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    for entry in fs::read_dir(server.data_dir()).expect("the folder").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let name = entry.file_name().into_string().expect("UTF-8");
            assert_eq!(mode(&name) & 0o077, 0, "{name} is for its owner only");
        }
    }
    assert_eq!(mode("") & 0o066, 0, "other users can neither list nor write the directory");
}

#[test]
fn a_server_is_idle_after_a_deletion() {
    let server = simulated();
    let cluster = id(&server.create_cluster("short-lived", "BASIC"));
    server.delete(&format!("/clusters/{cluster}")).ok();
    let used = || processes::cpu_ticks(server.pid()).expect("it lives");
    let mut since = (Instant::now(), used());
    eventually("half a second with a twentieth of it used", || {
        let (begun, before) = since;
        if begun.elapsed() < Duration::from_millis(500) {
            return None;
        }
        since = (Instant::now(), used());
        (since.1 - before <= 2).then_some(())
    });
}

#[test]
fn health_and_readiness() {
    let server = simulated();
    let client = server.anonymous();
    assert_eq!(client.raw("GET", "/healthz").send().bytes, b"alive\n");
    assert_eq!(client.raw("GET", "/readyz").send().bytes, b"ready\n");
}

#[test]
fn a_signal_drains_open_requests() {
    let mut server = simulated();
    let begun = Instant::now();
    let address = server.client().raw("GET", "/healthz").send();
    assert_eq!(address.status, 200);
    server.terminate();
    assert!(begun.elapsed() < Duration::from_secs(5), "the server stops within seconds");
    assert!(server.log().contains("stopping"), "the server logs it");
}

#[test]
fn a_second_signal_stops_immediately() {
    let mut server = simulated();
    // A request that never ends would delay the drain.
    let mut hanging = TcpStream::connect(server.client().address()).expect("a connection");
    hanging
        .write_all(b"POST /api/v1/clusters HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
        .expect("written");
    server.client().raw("GET", "/healthz").send();
    server.signal(ootheca_testkit::Signal::TERM);
    eventually("it stops", || server.log().contains("stopping").then_some(()));
    server.signal(ootheca_testkit::Signal::TERM);
    let status = server.wait(Duration::from_secs(4));
    assert!(status.success(), "{status}");
    let _ = hanging.read(&mut [0; 16]);
}

#[test]
fn an_address_that_is_not_loopback_is_refused() {
    let text = refused(|command| {
        command.args(["--listen", "0.0.0.0:0", "--sql-listen", "127.0.0.1:0"]);
    });
    assert!(text.contains("listen") && text.contains("--insecure-listen"), "{text}");
    let server = ServerBuilder::new(PROGRAM).arg("--insecure-listen").boot();
    server.get("/clusters").ok();
}

#[test]
fn unknown_settings_are_errors() {
    let text = refused(|command| {
        command.env("OOTHECA_ENGINE__POOL_SIEZ", "3");
    });
    assert!(text.contains("pool_siez"), "{text}");
    let text = refused(|command| {
        command.env("OOTHECA_LISSEN", "127.0.0.1:0");
    });
    assert!(text.contains("lissen"), "{text}");
    let folder = Folder::new();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "[gateway]\nhots = \"x\"\n").expect("a file");
    let text = refused(|command| {
        command.arg("--config").arg(&file);
    });
    assert!(text.contains("hots"), "{text}");
    let text = refused(|command| {
        command.args(["--config", "/nonexistent/settings.toml"]);
    });
    assert!(text.contains("/nonexistent/settings.toml"), "{text}");
}

#[test]
fn flags_and_environment_override_the_configuration_file() {
    let folder = Folder::new();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "[organization]\nname = \"From a file\"\nlabel = \"file\"\n").expect("a file");
    let launch = ServerBuilder::new(PROGRAM).arg("--config").arg(&file.to_string_lossy());
    let server = launch.env("OOTHECA_ORGANIZATION__LABEL", "environment").boot();
    let organization = server.get("/organization");
    assert_eq!(
        (organization.text("/name"), organization.text("/label")),
        ("From a file".into(), "environment".into())
    );
}

#[test]
fn two_servers_cannot_share_a_data_directory() {
    let server = simulated();
    let mut second = ServerBuilder::new(PROGRAM).command(&server.data_dir());
    let output = second.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("another server is using"), "{text}");
    server.get("/clusters").ok();
}

#[test]
fn the_administrators_key_can_be_set() {
    let key = format!("CCDB1_{}_{}", "A".repeat(22), "b".repeat(40));
    let server = ServerBuilder::new(PROGRAM).env("OOTHECA_ADMIN_API_KEY", &key).boot();
    assert_eq!(server.admin_key(), key);
    server.with_key(&key).get("/service-accounts").ok();
    let mut server: Ootheca = simulated();
    let first = server.admin_key();
    server.relaunch(|launch| launch.env("OOTHECA_ADMIN_API_KEY", &key));
    server.restart();
    server.with_key(&key).get("/service-accounts").ok();
    server.with_key(&first).get("/service-accounts").ok();
    let text = refused(|command| {
        command.env("OOTHECA_ADMIN_API_KEY", "too-simple-to-be-a-key");
    });
    assert!(text.contains("OOTHECA_ADMIN_API_KEY") && !text.contains("too-simple"), "{text}");
}

#[test]
fn startup_message_contains_a_working_curl_command() {
    let server = simulated();
    let log = server.log();
    let line = log.lines().find(|line| line.trim_start().starts_with("curl ")).expect("a curl line").trim();
    assert!(line.contains("/api/v1/clusters") && line.contains("admin-api-key"), "{line}");
    let script = format!("{line} --silent --noproxy '*'");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh starts");
    assert!(output.status.success(), "{output:?}; ./dev test installs curl");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"clusters\":[]"), "{output:?}");
    assert!(!log.contains(&server.admin_key()), "the key itself is not printed");
}
