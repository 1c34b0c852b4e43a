//! The server as a process: its standard error, its signals, and reading its settings again.

use crate::support::{PROGRAM, id, real, simulated};
use ootheca_testkit::{Client, Folder, Ootheca, ServerBuilder, Signal, eventually, processes};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::{
    fs,
    io::{PipeReader, PipeWriter, Write, pipe},
    path::Path,
    process::{Child, ExitStatus},
};

/// A pipe that has no space left.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("the flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("it does not block");
    for size in [4096, 1] {
        while writer.write(&vec![b'.'; size]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).expect("it blocks");
    (reader, writer)
}

/// A process that is killed when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server with its standard error in a pipe. Returns a client of it.
fn start(launch: &ServerBuilder, data: &Path, stderr: PipeWriter) -> (Running, Client) {
    let (address, key) = (data.join("api-address"), data.join("admin-api-key"));
    let _ = fs::remove_file(&address);
    let mut running = Running(launch.command(data).stderr(stderr).spawn().expect("the program starts"));
    let client = eventually("the server is ready", || {
        assert!(running.0.try_wait().expect("a child process").is_none(), "it exited");
        let address = fs::read_to_string(&address).ok().filter(|text| text.ends_with('\n'))?;
        let client = Client::new(address.trim(), fs::read_to_string(&key).ok()?.trim());
        let ready = client.raw("GET", "/readyz").try_send().is_ok_and(|answer| answer.status == 200);
        ready.then_some(client)
    });
    (running, client)
}

fn stop(mut running: Running) -> ExitStatus {
    processes::signal(running.0.id(), Signal::TERM);
    eventually("the server has exited", || running.0.try_wait().expect("a child process"))
}

#[test]
fn a_server_works_and_stops_if_its_standard_error_is_not_read() {
    let (folder, (_reader, writer)) = (Folder::new(), full_pipe());
    let launch = ServerBuilder::new(PROGRAM).arg("--test-clock");
    let (running, client) = start(&launch, &folder.path().join("data"), writer);
    // Each call logs a line.
    for _ in 0..300 {
        client
            .raw("POST", "/api/ootheca/v1/clock")
            .json(&serde_json::json!({ "advance_seconds": 1 }))
            .send()
            .ok();
    }
    assert!(stop(running).success());
}

#[test]
fn a_server_works_and_stops_its_sql_servers_if_its_standard_error_is_closed() {
    let folder = Folder::new();
    let (reader, writer) = pipe().expect("a pipe");
    let launch = ServerBuilder::new(PROGRAM).engine(ootheca_testkit::Engine::Postgres).pool(1);
    let (running, client) = start(&launch, &folder.path().join("data"), writer);
    eventually("a spare instance runs", || {
        (processes::within(&folder.path().join("data/engine/instances")).len() > 1).then_some(())
    });
    drop(reader);
    processes::signal(running.0.id(), Signal::USR1);
    eventually("lost log lines are counted", || {
        let metrics = client.raw("GET", "/metrics").send();
        let text = String::from_utf8_lossy(&metrics.bytes).into_owned();
        let count = text.lines().find_map(|line| line.strip_prefix("ootheca_log_lines_dropped_total "));
        (count.expect("the series") != "0").then_some(())
    });
    assert!(stop(running).success());
    assert_eq!(processes::within(folder.path()).len(), 0, "nothing is left");
}

#[test]
fn no_signal_leaves_sql_servers_behind() {
    let mut server = real();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    server.postmaster(&cluster);
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        server.signal(signal);
        let line = format!("signal ignored signal=\"{name}\"");
        eventually("the signal is logged", || server.log().contains(&line).then_some(()));
    }
    assert_eq!(server.get("/clusters").status, 200);
    server.signal(Signal::QUIT);
    assert!(server.stop().success());
    assert_eq!(processes::within(&server.data_dir()).len(), 0, "nothing is left");
}

/// Sends SIGHUP, and waits for a text in the new part of the log. Returns that part.
fn reload(server: &Ootheca, text: &str) -> String {
    let from = server.log().len();
    server.signal(Signal::HUP);
    eventually(text, || {
        let new = server.log()[from..].to_owned();
        new.lines().any(|line| line.contains(text)).then_some(new)
    })
}

#[test]
fn sighup_reads_the_settings_again() {
    let folder = Folder::new();
    let file = folder.path().join("ootheca.toml");
    let write = |text: &str| fs::write(&file, text).expect("the file is written");
    write("[rate_limit]\nmode = \"never\"\n");
    let launch =
        ServerBuilder::new(PROGRAM).without_env("OOTHECA_RATE_LIMIT__MODE").without_env("OOTHECA_LOG");
    let server = launch.arg("--config").arg(file.to_str().expect("UTF-8")).boot();
    let statuses = || (0..8).map(|_| server.get("/organization").status).collect::<Vec<_>>();
    assert_eq!(statuses(), [200; 8]);

    write("drain_seconds = 9\n[rate_limit]\nmode = \"refuse\"\nrequests_per_second = 1\nburst = 2\n");
    let log = reload(&server, "only take effect after a restart");
    assert!(log.contains("rate_limit.burst, rate_limit.mode"), "{log}");
    assert!(log.contains("settings=\"drain_seconds\""), "{log}");
    assert!(statuses().contains(&429));

    write("[rate_limit]\nmode = \"sometimes\"\n");
    let log = reload(&server, "settings not reloaded");
    assert!(log.contains("ERROR") && log.contains("sometimes"), "{log}");
    assert!(statuses().contains(&429), "the previous settings stay");

    write("log = \"warn\"\n[rate_limit]\nmode = \"never\"\n");
    server.signal(Signal::HUP);
    eventually("the limit is removed", || (statuses() == [200; 8]).then_some(()));
    write("drain_seconds = 9\nlog = \"warn\"\n");
    let log = reload(&server, "only take effect after a restart");
    assert!(!log.contains("INFO"), "{log}");
}

#[test]
fn sighup_without_a_settings_file_changes_nothing() {
    let mut server = simulated();
    server.signal(Signal::HUP);
    let line = "settings reloaded changed=\"\"";
    eventually("the settings are read", || server.log().contains(line).then_some(()));
    server.restart();
}
