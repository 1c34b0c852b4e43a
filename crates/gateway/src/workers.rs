//! The threads that serve connections, each with a runtime of its own.

use crate::session::{Shared, serve};
use ootheca_model::{Error, Result};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
    sync::{OwnedSemaphorePermit, watch},
};

/// A worker thread and its number of connections.
#[derive(Clone)]
pub(crate) struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// Starts `count` threads, which run until `stopped` is true. A count of 0 means one for every two cores,
/// which leaves the others to the SQL servers.
pub(crate) fn start(
    count: usize,
    stopped: watch::Receiver<bool>,
) -> Result<(Vec<thread::JoinHandle<()>>, Vec<Worker>)> {
    let count = match count {
        0 => thread::available_parallelism().map_or(1, |cores| usize::from(cores).div_ceil(2)),
        count => count,
    };
    let failed = |cause| Error::internal("SQL gateway: cannot start worker threads").because(cause);
    let (mut threads, mut workers) = (Vec::new(), Vec::new());
    for number in 0..count {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        workers.push(Worker { runtime: runtime.handle().clone(), connections: Arc::default() });
        let mut stopped = stopped.clone();
        let run = move || {
            // An error means that the gateway was dropped.
            let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
        };
        let thread = thread::Builder::new().name(format!("gateway-{number}")).spawn(run).map_err(failed)?;
        threads.push(thread);
    }
    Ok((threads, workers))
}

/// An accepted connection.
pub(crate) struct AcceptedConnection {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Assigns a connection to the worker with the fewest.
pub(crate) fn assign(workers: &[Worker], shared: &Arc<Shared>, accepted: AcceptedConnection) {
    let least_loaded = workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
    let AcceptedConnection { stream, peer, permit } = accepted;
    let (Some(worker), Ok(stream)) = (least_loaded, stream.into_std()) else { return };
    let (counted, shared) = (CountedConnection::new(&worker.connections), shared.clone());
    worker.runtime.spawn(async move {
        match TcpStream::from_std(stream) {
            Ok(stream) => serve(shared, stream, peer).await,
            Err(cause) => tracing::warn!(%cause, "SQL connection not served"),
        }
        drop((counted, permit));
    });
}

/// Counts a connection of a worker until it is dropped.
struct CountedConnection(Arc<AtomicUsize>);

impl CountedConnection {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(connections.clone())
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
