//! The threads that serve connections.

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

/// One thread of the gateway, and how many connections it has.
#[derive(Clone)]
pub(crate) struct Worker {
    runtime: Handle,
    load: Arc<AtomicUsize>,
}

/// Starts them; 0 is one for every two cores: the other half is for the SQL servers. They end when `stopped` says so.
pub(crate) fn start(
    count: usize,
    stopped: watch::Receiver<bool>,
) -> Result<(Vec<thread::JoinHandle<()>>, Vec<Worker>)> {
    let count = match count {
        0 => thread::available_parallelism().map_or(1, |cores| usize::from(cores).div_ceil(2)),
        count => count,
    };
    let failed = |cause| Error::internal("SQL gateway: can not start its threads").because(cause);
    let (mut threads, mut workers) = (Vec::new(), Vec::new());
    for number in 0..count {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        workers.push(Worker { runtime: runtime.handle().clone(), load: Arc::default() });
        let mut stopped = stopped.clone();
        let run = move || {
            // An error says that the gateway itself is gone.
            let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
        };
        let thread = thread::Builder::new().name(format!("gateway-{number}")).spawn(run).map_err(failed)?;
        threads.push(thread);
    }
    Ok((threads, workers))
}

/// An accepted connection, with its place.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) slot: OwnedSemaphorePermit,
    /// It is one more than there may be.
    pub(crate) too_many: bool,
}

/// Gives a connection to the thread that has the fewest.
pub(crate) fn hand_over(workers: &[Worker], shared: &Arc<Shared>, accepted: Accepted) {
    let least = workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
    let Accepted { stream, peer, slot, too_many } = accepted;
    let (Some(worker), Ok(stream)) = (least, stream.into_std()) else { return };
    let (load, shared) = (Load::add(&worker.load), shared.clone());
    worker.runtime.spawn(async move {
        match TcpStream::from_std(stream) {
            Ok(stream) => serve(shared, stream, peer, too_many).await,
            Err(cause) => tracing::warn!(%cause, "a SQL connection could not be served"),
        }
        drop((load, slot));
    });
}

/// Counts a connection for as long as it is there.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn add(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(load.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
