//! The server of a staged instance, which runs only while objects are copied from it. It has its own sockets, to which
//! only its user and the engine can connect, and archives no WAL.

use crate::{
    files::{blocking, failed, remove_tree},
    postgres::{
        context::EngineContext,
        instance::Instance,
        liveness,
        owner::Owner,
        process::{self, LOCK_FILE, Process},
        server::{self, LaunchSpec, StopMode},
        shared_memory,
    },
};
use ootheca_model::{Error, Result};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// Nothing but the preparation of the copy should change the data.
const OPTIONS: [&str; 1] = ["autovacuum=off"];
/// The time limit for the end of a server that a previous process of the engine has started.
const VACATE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct StagedServer {
    context: Arc<EngineContext>,
    pub(super) instance: Arc<Instance>,
    pub(super) owner: Owner,
    process: Process,
}

impl StagedServer {
    /// Starts the server. The caller stops it.
    pub(super) async fn start(context: &Arc<EngineContext>, instance: Arc<Instance>) -> Result<Self> {
        let late = |late| Error::unavailable("the server of the staged instance did not stop").because(late);
        timeout(VACATE_TIMEOUT, vacate(&instance)).await.map_err(late)??;
        let data = instance.data();
        process::clear(&data, Duration::ZERO).await;
        let owner = instance.take_ownership().await?;
        blocking({
            let data = data.clone();
            move || remove_lock(&data)
        })
        .await?;
        let process = server::spawn(
            context,
            &LaunchSpec {
                programs: &instance.programs,
                owner: &owner,
                data: &data,
                sockets: &instance.sockets(),
                log: &instance.log(),
                spool: None,
                connect: false,
                options: &OPTIONS,
            },
        )?;
        Ok(Self { context: context.clone(), instance, owner, process })
    }

    /// Waits until the server accepts connections.
    pub(super) async fn ready(&self) -> Result<()> {
        server::ready(&self.process, &self.instance.data(), self.context.settings.ready_timeout).await
    }

    /// Returns when the server, which is ready, no longer responds to new connections.
    pub(super) async fn stops_responding(&self) {
        liveness::stops_responding(&server::socket(&self.sockets()), &self.process, || true).await;
    }

    pub(super) fn sockets(&self) -> PathBuf {
        self.instance.sockets()
    }

    /// Stops the server, and the program that reads from it. Its data is removed soon, so it needs no checkpoint.
    pub(super) async fn stop(&self) {
        let data = self.instance.data();
        server::stop(&self.process, &data, self.context.shutdown.subscribe(), StopMode::Immediate).await;
        process::clear(&data, Duration::ZERO).await;
        let sockets = self.sockets();
        if let Err(error) = blocking(move || remove_tree(&sockets)).await {
            tracing::warn!(instance = self.instance.id, error = error.chain(), "could not remove sockets");
        }
    }
}

/// Stops a server that the engine has adopted at its start.
async fn vacate(instance: &Arc<Instance>) -> Result<()> {
    let mut states = instance.state.subscribe();
    while !instance.vacate() {
        states.changed().await.map_err(|error| Error::internal("an instance disappeared").because(error))?;
    }
    Ok(())
}

/// Removes what a killed server has left.
fn remove_lock(data: &Path) -> Result<()> {
    shared_memory::free(data);
    let path = data.join(LOCK_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
        _ => Ok(()),
    }
}
