//! Making instances, and keeping a few started ones that wait for a cluster.

use super::copy::copy_tree;
use super::{
    Shared,
    binaries::Programs,
    host::{Haste, Host, new_id},
    instance::{Instance, SPARE_READY, Stage},
    server, template, trash,
};
use crate::files::{blocking, sync_file_system, write_atomically};
use ootheca_model::{Error, Result, effect};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Spares are made when nothing was asked of the engine for this long …
const QUIET: Duration = Duration::from_millis(300);
/// … but not later than this.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Makes an instance that no cluster has claimed, and starts it: a durable copy of the template.
pub(super) async fn make(shared: &Shared, programs: &Programs) -> Result<Arc<Instance>> {
    let host = &shared.host;
    let data = match template::existing(host, programs) {
        Some(data) => data,
        None => {
            let _one_at_a_time = shared.templates.lock().await;
            template::ensure(host, programs).await?
        }
    };
    let id = new_id();
    let result = fill(host, programs, &id, data).await;
    if result.is_err()
        && let Err(error) = trash::discard(host, &id).await
    {
        tracing::warn!(instance = id, error = error.chain(), "unfinished instance not removed");
    }
    result
}

async fn fill(
    host: &Arc<Host>,
    programs: &Programs,
    id: &str,
    template: std::path::PathBuf,
) -> Result<Arc<Instance>> {
    let folder = blocking({
        let (host, id) = (host.clone(), id.to_owned());
        move || {
            let folder = Instance::make_folder(&host, &id)?;
            copy_tree(&template, &folder.join("data"), &host.owner, &|| host.closing())?;
            Ok(folder)
        }
    })
    .await?;
    effect::done("instance copied");
    let instance = Instance::new(host, id, programs);
    instance.start();
    // The server starts while the copy becomes durable; it counts only when both are done.
    let durable = blocking({
        let folder = folder.clone();
        move || sync_file_system(&folder)
    });
    let (durable, started) = tokio::join!(durable, warmed(host, &instance));
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
    effect::done("instance whole");
    Ok(instance)
}

/// Waits for the server, then enters its databases once: whoever comes first after a start makes the
/// server write down its catalogue, which takes longer than all the rest of a login.
async fn warmed(host: &Arc<Host>, instance: &Instance) -> Result<()> {
    instance.started().await?;
    let sockets = instance.sockets();
    let (first, second) = tokio::join!(
        server::connect(host, &sockets, "postgres"),
        server::connect(host, &sockets, "defaultdb")
    );
    first.and(second).map(drop)
}

/// Keeps the pool filled until the engine ends. One at a time, and not while others need the disk.
pub(super) async fn keep_filled(shared: Arc<Shared>) {
    let mut haste = shared.host.haste.subscribe();
    let work = async {
        wake(&shared).await;
        // Asked here too: while the engine ends nothing in the loop waits, so nobody would be told.
        while !shared.host.closing() {
            if shared.missing_spare() {
                quiet(&shared).await;
                if let Err(error) = tend(&shared).await {
                    if !shared.host.closing() {
                        tracing::warn!(error = error.chain(), "no spare could be made");
                    }
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            } else {
                // A spare that ends tells nobody, so look now and then.
                let _ = tokio::time::timeout(LOOK_AGAIN, shared.refill.notified()).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = haste.wait_for(|haste| *haste != Haste::Open) => {}
    }
}

/// Starts the spares that an earlier incarnation stopped.
async fn wake(shared: &Shared) {
    for spare in shared.cold_spares() {
        quiet(shared).await;
        spare.start();
        // One that fails is replaced.
        let _ = spare.started().await;
    }
}

async fn quiet(shared: &Shared) {
    let begun = Instant::now();
    while shared.asked_within(QUIET) && begun.elapsed() < PATIENCE {
        tokio::time::sleep(QUIET / 4).await;
    }
}

/// Replaces one spare that ended, or makes one that is missing. Not cut off half-way by the end of
/// the engine: that waits for it.
async fn tend(shared: &Arc<Shared>) -> Result<()> {
    let Some(guard) = shared.begin() else { return Ok(()) };
    let shared = shared.clone();
    let work = tokio::spawn(async move {
        let _guard = guard;
        for dead in
            shared.take_spares(|spare| spare.stage() == Stage::Down || spare.stage() == Stage::Stopped)
        {
            dead.stop(true).await;
            trash::discard(&shared.host, &dead.id).await?;
        }
        let Some(programs) = shared.host.programs.first() else { return Ok(()) };
        if shared.missing_spare() {
            let spare = make(&shared, programs).await?;
            let instance = spare.id.clone();
            shared.add_spare(spare);
            tracing::info!(instance, "a spare waits");
        }
        Ok(())
    });
    work.await.unwrap_or_else(|error| Err(Error::internal("making a spare was cut off").because(error)))
}
