//! Creates instances, and keeps a pool of started spares.

use super::copy::copy_tree;
use super::{
    Shared,
    binaries::Programs,
    context::{EngineContext, Shutdown, new_id},
    instance::{Instance, SPARE_READY, Stage},
    server, template, trash,
};
use crate::files::{blocking, sync_file_system, write_atomically};
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Spares are created when the engine has received no request for this long.
const QUIET: Duration = Duration::from_millis(300);
/// The maximum delay before spares are created even if requests keep arriving.
const MAX_QUIET_WAIT: Duration = Duration::from_secs(3);
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Creates and starts an unclaimed instance, which is a durable copy of the template.
pub(super) async fn make(shared: &Shared, programs: &Programs) -> Result<Arc<Instance>> {
    let context = &shared.context;
    let template = shared.template(programs).await?;
    let id = new_id();
    let result = fill(context, programs, &id, template).await;
    if result.is_err() {
        discard_unfinished(context, &id).await;
    }
    result
}

/// Removes an instance that no cluster has claimed. If that fails, the next start repeats it.
pub(super) async fn discard_unfinished(context: &Arc<EngineContext>, id: &str) {
    if let Err(error) = trash::discard(context, id).await {
        tracing::warn!(instance = id, error = error.chain(), "could not remove unfinished instance");
    }
}

impl Shared {
    /// The data directory of the template for these programs, which is created if it does not exist.
    pub(super) async fn template(&self, programs: &Programs) -> Result<PathBuf> {
        if let Some(data) = template::existing(&self.context, programs) {
            return Ok(data);
        }
        let _one_at_a_time = self.templates.lock().await;
        template::ensure(&self.context, programs).await
    }
}

/// Copies a template to a new instance. Returns an error as soon as `stopped` returns true, or the engine shuts down.
pub(super) async fn copy_template(
    context: &Arc<EngineContext>,
    id: &str,
    template: PathBuf,
    stopped: impl Fn() -> bool + Send + 'static,
) -> Result<PathBuf> {
    let (context, id) = (context.clone(), id.to_owned());
    let folder = blocking(move || {
        let folder = Instance::make_folder(&context, &id)?;
        let owner = context.new_owner(&id, &folder)?;
        copy_tree(&template, &folder.join("data"), &owner, &|| context.closing() || stopped())?;
        Ok(folder)
    })
    .await?;
    failpoint::reach("instance copied");
    Ok(folder)
}

async fn fill(
    context: &Arc<EngineContext>,
    programs: &Programs,
    id: &str,
    template: PathBuf,
) -> Result<Arc<Instance>> {
    let folder = copy_template(context, id, template, || false).await?;
    let instance = Instance::new(context, id, programs);
    instance.start();
    // The server starts while the copy becomes durable. The instance is complete only when both are done.
    let durable = blocking({
        let folder = folder.clone();
        move || sync_file_system(&folder)
    });
    let (durable, started) = tokio::join!(durable, warm_up(context, &instance));
    let marked = match durable.and(started) {
        Ok(()) => {
            let name = template::name(programs);
            blocking(move || write_atomically(&folder, SPARE_READY, name.as_bytes())).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = marked {
        instance.stop(true).await;
        return Err(error);
    }
    failpoint::reach("instance whole");
    Ok(instance)
}

/// Waits for the server, then connects to each of its databases once. The first connection after a start
/// writes the server's catalog caches, which takes longer than the rest of a login.
async fn warm_up(context: &Arc<EngineContext>, instance: &Instance) -> Result<()> {
    instance.started().await?;
    let sockets = instance.sockets();
    let (first, second) = tokio::join!(
        server::connect(context, &sockets, "postgres"),
        server::connect(context, &sockets, "defaultdb")
    );
    first.and(second).map(drop)
}

/// Keeps the pool filled until the engine shuts down. Creates one spare at a time, and not while other work
/// needs the disk.
pub(super) async fn keep_filled(shared: Arc<Shared>) {
    let mut shutdown = shared.context.shutdown.subscribe();
    let work = async {
        start_cold_spares(&shared).await;
        // Checked here as well, because during a shutdown the loop may never reach a point where it waits.
        while !shared.context.closing() {
            if shared.missing_spare() {
                wait_until_quiet(&shared).await;
                if let Err(error) = replenish(&shared).await {
                    if !shared.context.closing() {
                        tracing::warn!(error = error.chain(), "could not create spare instance");
                    }
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            } else {
                // A spare that stops does not notify the pool, so check periodically.
                let _ = tokio::time::timeout(CHECK_INTERVAL, shared.refill.notified()).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = shutdown.wait_for(|shutdown| *shutdown != Shutdown::NotRequested) => {}
    }
}

/// Starts the spares that a previous process stopped.
async fn start_cold_spares(shared: &Shared) {
    for spare in shared.cold_spares() {
        wait_until_quiet(shared).await;
        spare.start();
        // A spare that fails to start is replaced later.
        let _ = spare.started().await;
    }
}

async fn wait_until_quiet(shared: &Shared) {
    let begun = Instant::now();
    while shared.requested_within(QUIET) && begun.elapsed() < MAX_QUIET_WAIT {
        tokio::time::sleep(QUIET / 4).await;
    }
}

/// Replaces one stopped spare, or creates a missing one. Spawned, so that a shutdown waits for it instead of
/// canceling it.
async fn replenish(shared: &Arc<Shared>) -> Result<()> {
    let Some(guard) = shared.begin() else { return Ok(()) };
    let shared = shared.clone();
    let work = tokio::spawn(async move {
        let _guard = guard;
        for dead in
            shared.take_spares(|spare| spare.stage() == Stage::Down || spare.stage() == Stage::Stopped)
        {
            dead.stop(true).await;
            trash::discard(&shared.context, &dead.id).await?;
        }
        let Some(programs) = shared.context.programs.first() else { return Ok(()) };
        if shared.missing_spare() {
            let spare = make(&shared, programs).await?;
            let instance = spare.id.clone();
            shared.add_spare(spare);
            tracing::info!(instance, "spare instance ready");
        }
        Ok(())
    });
    work.await.unwrap_or_else(|error| {
        Err(Error::internal("the creation of a spare instance was interrupted").because(error))
    })
}
