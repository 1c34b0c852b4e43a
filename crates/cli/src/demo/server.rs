//! The server process of a demo. It runs until its standard input is closed.

use crate::{
    connection::ADDRESS_FILE,
    failure::{Failure, Result},
    output::print,
    runtime,
};
use ootheca_server::{Server, Settings, gateway::handover::Inherited};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{fs, io::BufRead, os::fd::OwnedFd, path::PathBuf};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

/// Printed to standard output, as JSON, once the server is ready.
#[derive(Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) server: String,
    pub(super) key: String,
    pub(super) data_dir: PathBuf,
}

/// Serves until standard input is closed, then removes all data.
pub(super) fn run() -> Result<()> {
    let runtime = runtime::multi_thread()?;
    let served = runtime.block_on(serve());
    if let Err(failure) = &served {
        print(&format!("{}\n", json!({ "error": failure.message })))?;
    }
    // The thread that reads standard input might still be blocked.
    runtime.shutdown_background();
    served
}

async fn serve() -> Result<()> {
    let failed = |error: std::io::Error| Failure::failed(format!("temporary directory: {error}"));
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::failed(format!("could not install the signal handlers: {error}")))?;
    let directory = tempfile::Builder::new().prefix("ootheca-demo-").tempdir().map_err(failed)?;
    let (send, input_closed) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = send.send(guarded_process());
    });
    let server = Server::start(settings(&directory)?, Inherited::default()).await?;
    let printed = ready(&server).and_then(|ready| print(&format!("{}\n", json!(ready))));
    let guarded = tokio::select! {
        guarded = input_closed => guarded.ok().flatten(),
        _ = terminate.recv() => None,
    };
    if let Some(process) = guarded {
        let _ = pidfd_send_signal(process, Signal::TERM);
    }
    let (_send, immediate) = watch::channel(true);
    server.stop(immediate).await;
    directory.close().map_err(failed)?;
    printed
}

/// Overrides every setting by which the environment could make a demo keep data or touch other data.
fn settings(directory: &tempfile::TempDir) -> Result<Settings> {
    let own = json!({
        "data_dir": directory.path(),
        "listen": "127.0.0.1:0",
        "sql_listen": "127.0.0.1:0",
        "insecure_listen": false,
        "store": "",
        "engine_kind": "postgres",
        "detach": false,
        "test_clock": false,
        "public_url": "",
        "tls": { "certificate": "", "key": "", "self_signed": false },
        "gateway": { "enabled": true, "domain": "", "host": "localhost", "port": 0, "proxy_protocol": false },
        "engine": { "pool_size": 1 },
        "backups": { "enabled": false, "url": "" },
    });
    let file = std::env::var_os("OOTHECA_CONFIG").map(PathBuf::from);
    Ok(Settings::load(file.as_deref(), &own)?)
}

fn ready(server: &Server) -> Result<Ready> {
    let data_dir = server.data_dir().to_owned();
    let failed = |error: std::io::Error| Failure::failed(format!("data directory of the demo: {error}"));
    let key = fs::read_to_string(data_dir.join("admin-api-key")).map_err(failed)?.trim().to_owned();
    let server = server.base_url();
    fs::write(data_dir.join(ADDRESS_FILE), &server).map_err(failed)?;
    Ok(Ready { server, key, data_dir })
}

/// Reads the ID of the process to end, and returns when standard input is closed.
fn guarded_process() -> Option<OwnedFd> {
    let mut guarded = None;
    for line in std::io::stdin().lock().lines() {
        let pid = line.ok()?.trim().parse().ok().and_then(Pid::from_raw);
        // Unlike the ID, the descriptor can't come to refer to another process.
        guarded = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    }
    guarded
}
