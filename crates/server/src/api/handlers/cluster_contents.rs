//! Reads and changes SQL users and databases inside of a cluster, for their handlers.

use crate::{
    api::{
        call::{Attempt, Call},
        decision::{Decision, Reply},
    },
    documents::undeleted_cluster,
    lifecycle::{
        Lifecycle,
        activity_tracker::ActivityGuard,
        power::{self, READY_WAIT},
        sql_metadata::{self, CachedMetadata, Part},
    },
};
use ootheca_engine::Admin;
use ootheca_model::{ClusterId, Error, ErrorKind, Result, instance::Power};
use ootheca_store::Batch;
use std::{pin::Pin, sync::Arc};

/// Access to read the contents of a cluster.
pub(super) enum Inside {
    /// The server runs: an administrative session, and a guard that prevents suspension.
    Awake(ClusterId, Box<dyn Admin>, ActivityGuard),
    /// The cluster is suspended: the cached metadata.
    Asleep(Arc<CachedMetadata>),
}

/// Opens the contents of the call's cluster. Reading neither resumes the cluster nor counts as activity. 404
/// if there is no such cluster.
pub(super) async fn inside(call: &Call) -> Result<Inside> {
    let (context, lifecycle) = (&call.context, &call.lifecycle);
    let id = call.granted.cluster().ok_or_else(|| Error::not_found("cluster"))?;
    let held = lifecycle.tracker.inspect(id).await;
    let found = undeleted_cluster(&*context.store, call.granted.organization(), Some(id)).await?.value;
    let attempt = || context.engine.admin(id);
    if found.power == Power::On {
        match context.when_ready(id, READY_WAIT, attempt).await {
            // The data of the cluster is missing, so only the cached metadata is available.
            Err(error) if error.kind() == ErrorKind::Precondition => {}
            ready => return Ok(Inside::Awake(id, ready?, held)),
        }
    }
    match sql_metadata::cached(lifecycle, id).await? {
        Some(notes) => Ok(Inside::Asleep(notes)),
        None => Ok(Inside::Awake(id, power::ready(lifecycle, id, attempt).await?.1, held)),
    }
}

/// A function that uses an administrative session of a cluster.
pub(super) type Verb<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A change inside of a cluster, not in the store.
pub(super) struct Effect {
    lifecycle: Arc<Lifecycle>,
    cluster: ClusterId,
    batch: Batch,
    attempt: Attempt,
    part: Part,
}

/// A precondition of a side effect.
pub(super) enum Needs<'a> {
    /// An object with this name exists.
    Present(&'a str),
    /// No object with this name exists.
    Absent(&'a str),
}

impl Effect {
    /// A side effect on a `part` of the call's cluster; 404 if there is no such cluster, and `Precondition` if
    /// it is locked. If the attempt requires it, the preconditions in `needs` are checked first, with the
    /// errors of the side effect itself.
    pub(super) async fn new(call: &Call, part: Part, needs: &[Needs<'_>]) -> Result<Self> {
        let found = call.cluster().await?;
        found.value.check_unlocked()?;
        if call.attempt.checks_first()
            && let Some(names) = names(call, part, found.value.power).await?
        {
            needs.iter().try_for_each(|need| need.check(part, &names))?;
        }
        let (lifecycle, attempt) = (call.lifecycle.clone(), call.attempt);
        Ok(Self { lifecycle, cluster: found.value.id, batch: Batch::by(&call.granted), attempt, part })
    }

    /// A change that runs `verb` after its audit entry is written, and resumes the cluster for it. The cached
    /// metadata is updated. A dry run returns `expected`.
    pub(super) fn run<T, F>(self, expected: T, verb: F) -> Result<Decision<T>>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut dyn Admin) -> Verb<'a, T> + Send + 'static,
    {
        let Self { lifecycle, cluster, batch, attempt, part } = self;
        if attempt == Attempt::DryRun {
            return Ok(Decision::now(batch, expected));
        }
        let effect = async move {
            let (_in_use, mut admin) =
                power::ready(&lifecycle, cluster, || lifecycle.context.engine.admin(cluster)).await?;
            // A restore that was created in the meantime would drop the change.
            lifecycle.context.active_cluster(cluster).await?.value.check_unlocked()?;
            let result = verb(&mut *admin).await;
            // Even if the function failed, it can have changed something.
            if let Err(error) = sql_metadata::read_part(&lifecycle, cluster, part, &mut *admin).await {
                tracing::warn!(%cluster, error = error.chain(), "SQL metadata not refreshed after a change");
            }
            result
        };
        Ok(Decision::new(batch, Reply::SideEffect(Box::pin(effect))))
    }
}

impl Needs<'_> {
    fn check(&self, part: Part, names: &[String]) -> Result<()> {
        let noun = match part {
            Part::Logins => "SQL user",
            Part::Databases => "database",
        };
        let there = |wanted: &str| names.iter().any(|name| name == wanted);
        match self {
            Needs::Present(name) if !there(name) => Err(Error::not_found(format!("{noun} {name}"))),
            Needs::Absent(name) if there(name) => Err(Error::exists(format!("{noun} {name}"))),
            _ => Ok(()),
        }
    }
}

/// The names in a part of the call's cluster. `None` if a dry run would have to resume the cluster to read
/// them.
async fn names(call: &Call, part: Part, power: Power) -> Result<Option<Vec<String>>> {
    let id = call.granted.cluster().ok_or_else(|| Error::not_found("cluster"))?;
    let dry = call.attempt == Attempt::DryRun;
    if dry && power != Power::On && sql_metadata::cached(&call.lifecycle, id).await?.is_none() {
        return Ok(None);
    }
    let names = match (inside(call).await?, part) {
        (Inside::Asleep(notes), Part::Logins) => {
            notes.value.logins.iter().map(|login| login.name.clone()).collect()
        }
        (Inside::Asleep(notes), Part::Databases) => {
            notes.value.databases.iter().map(|database| database.name.clone()).collect()
        }
        (Inside::Awake(_, mut admin, _held), Part::Logins) => admin.users().await?,
        (Inside::Awake(_, mut admin, _held), Part::Databases) => {
            admin.databases().await?.into_iter().map(|database| database.name).collect()
        }
    };
    Ok(Some(names))
}
