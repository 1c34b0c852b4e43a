//! The server behind a demo. It lives as long as its standard input stays open.

use crate::{
    connection::ADDRESS_FILE,
    failure::{Failure, Result},
    output::print,
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

/// What is said once the server can be called.
#[derive(Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) server: String,
    pub(super) key: String,
    pub(super) folder: PathBuf,
}

/// Serves until standard input ends, then leaves nothing.
pub(super) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("can not start the runtime: {error}")))?;
    let served = runtime.block_on(serve());
    if let Err(failure) = &served {
        print(&format!("{}\n", json!({ "error": failure.message })))?;
    }
    // The thread that reads standard input may still do so.
    runtime.shutdown_background();
    served
}

async fn serve() -> Result<()> {
    let failed = |error: std::io::Error| Failure::failed(format!("can not make a temporary folder: {error}"));
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::failed(format!("can not listen for signals: {error}")))?;
    let folder = tempfile::Builder::new().prefix("ootheca-demo-").tempdir().map_err(failed)?;
    let (send, nobody) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = send.send(guarded());
    });
    let server = Server::start(settings(&folder)?, Inherited::default()).await?;
    let said = ready(&server).and_then(|ready| print(&format!("{}\n", json!(ready))));
    let left = tokio::select! {
        left = nobody => left.ok().flatten(),
        _ = terminate.recv() => None,
    };
    if let Some(process) = left {
        let _ = pidfd_send_signal(process, Signal::TERM);
    }
    let (_hurry, at_once) = watch::channel(true);
    server.stop(at_once).await;
    folder.close().map_err(failed)?;
    said
}

/// Whatever the surroundings say: nothing of a demo is kept, and nothing else is touched.
fn settings(folder: &tempfile::TempDir) -> Result<Settings> {
    let own = json!({
        "data_dir": folder.path(),
        "listen": "127.0.0.1:0",
        "sql_listen": "127.0.0.1:0",
        "insecure_listen": false,
        "store": "",
        "engine_kind": "postgres",
        "detach": false,
        "test_clock": false,
        "public_url": "",
        "gateway": { "enabled": true, "domain": "", "host": "localhost", "port": 0, "proxy_protocol": false },
        "engine": { "pool_size": 1 },
    });
    let file = std::env::var_os("OOTHECA_CONFIG").map(PathBuf::from);
    Ok(Settings::load(file.as_deref(), &own)?)
}

fn ready(server: &Server) -> Result<Ready> {
    let folder = server.data_dir().to_owned();
    let failed = |error: std::io::Error| Failure::failed(format!("the demo's folder: {error}"));
    let key = fs::read_to_string(folder.join("admin-api-key")).map_err(failed)?.trim().to_owned();
    let server = format!("http://{}", server.listen);
    fs::write(folder.join(ADDRESS_FILE), &server).map_err(failed)?;
    Ok(Ready { server, key, folder })
}

/// Reads the process that must not outlive the one before this, and returns at the end of the input.
fn guarded() -> Option<OwnedFd> {
    let mut guarded = None;
    for line in std::io::stdin().lock().lines() {
        let pid = line.ok()?.trim().parse().ok().and_then(Pid::from_raw);
        // The descriptor stays with this process, even if its number is given to another one.
        guarded = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    }
    guarded
}
