//! Finds servers that run but do not respond, and kills them, so that they are started again.

use super::{
    instance::{Instance, Stage},
    process::{self, Process},
    server::{self, StopMode},
    shared_memory,
};
use ootheca_pg_protocol::startup::SSL_REQUEST;
use rustix::process::Signal;
use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{sleep, timeout},
};

/// The time between a response and the next probe. With the probes that follow, a hung server is detected within
/// five seconds.
const PROBE_INTERVAL: Duration = Duration::from_millis(1500);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The number of consecutive probes without a response after which a server is considered hung.
const MAX_FAILURES: u32 = 3;
/// The same for nodes, because another one can take over.
const MAX_NODE_FAILURES: u32 = 2;
/// How long a server may fail to respond while its processes are busy or wait for a CPU.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

impl Instance {
    /// Returns when the running server no longer responds to new connections. Servers that are being stopped
    /// have their own time limits.
    pub(super) async fn stops_responding(&self, process: &Process) {
        let socket = server::socket(&self.sockets());
        let is_ready = || self.stage() == Stage::Ready;
        fails_probes(&socket, process, || self.max_failures(), is_ready).await;
    }

    fn max_failures(&self) -> u32 {
        if self.has_several_nodes() { MAX_NODE_FAILURES } else { MAX_FAILURES }
    }

    /// Kills a server that does not respond.
    pub(super) async fn kill_unresponsive(&self, process: &Process) {
        tracing::warn!(instance = self.id, pid = process.pid, "server does not respond and is killed");
        self.state.send_modify(|state| state.unresponsive = true);
        self.context.hint(self.cluster());
        if self.has_several_nodes() {
            // An immediate shutdown would wait six seconds for it.
            self.kill(process).await;
        } else {
            self.stop_process(process, StopMode::Immediate).await;
        }
    }

    /// Kills every process of the server, and returns when none is left.
    async fn kill(&self, process: &Process) {
        let data = self.data();
        process.signal(Signal::KILL);
        process::clear(&data, Duration::ZERO).await;
        process.exited().await;
        shared_memory::free(&data);
    }
}

/// Returns when the server no longer responds to new connections. It is probed while it `is_ready`.
pub(super) async fn stops_responding(socket: &Path, process: &Process, is_ready: impl Fn() -> bool) {
    fails_probes(socket, process, || MAX_FAILURES, is_ready).await;
}

/// Returns after `max_failures` consecutive probes without a response.
async fn fails_probes(
    socket: &Path,
    process: &Process,
    max_failures: impl Fn() -> u32,
    is_ready: impl Fn() -> bool,
) {
    let (mut failures, mut last_response) = (0, Instant::now());
    loop {
        if failures == 0 {
            sleep(PROBE_INTERVAL).await;
        }
        if !is_ready() || responds(socket).await {
            (failures, last_response) = (0, Instant::now());
            continue;
        }
        failures += 1;
        let busy = process::is_busy(process.pid) && last_response.elapsed() < BUSY_TIMEOUT;
        if failures >= max_failures() && !busy {
            return;
        }
    }
}

/// Whether the server responds to a new connection, with whatever result. The first packet is answered
/// before the server looks up a user or a database, so the probe is cheap and leaves no trace in the server's
/// log and counters.
async fn responds(socket: &Path) -> bool {
    let probe = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(&SSL_REQUEST).await?;
        stream.read(&mut [0]).await
    };
    let start = Instant::now();
    let responded: io::Result<usize> =
        timeout(RESPONSE_TIMEOUT, probe).await.unwrap_or_else(|late| Err(late.into()));
    if responded.is_err() {
        // The queue for connections is full, or there is no socket.
        sleep(RESPONSE_TIMEOUT.saturating_sub(start.elapsed())).await;
    }
    responded.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn sockets_that_do_not_respond_are_detected() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let socket = folder.join("s");
        assert!(!responds(&socket).await, "no socket");
        let listener = UnixListener::bind(&socket).unwrap();
        assert!(!responds(&socket).await, "connections are queued");
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; SSL_REQUEST.len()];
                // The requests of earlier probes may be incomplete.
                if stream.read_exact(&mut request).await.is_ok() {
                    let _ = stream.write_all(b"N").await;
                }
            }
        });
        assert!(responds(&socket).await);
        server.abort();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
