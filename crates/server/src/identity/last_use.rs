//! When API keys and sessions were last used, and the removal of expired sessions and links.
//!
//! A request only records its use in memory, and a loop writes it later, so that reads do not write to the
//! store. A crash loses at most a minute.

use crate::{
    context::Context,
    documents::{self, Document},
};
use ootheca_model::{ApiKey, Invitation, Result, Session, Timestamp};
use ootheca_store::{Batch, Kind, Mutation, Row};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How often the recorded uses are written.
const PAUSE: Duration = Duration::from_secs(10);
/// The minimum difference between two times that are written.
const COARSE: Duration = Duration::from_secs(60);
/// The maximum number of rows in a batch.
const BATCH: usize = 100;

/// The uses that are not written yet.
#[derive(Default)]
pub struct LastUse {
    noted: Mutex<HashMap<Kind, HashMap<String, Timestamp>>>,
}

impl LastUse {
    /// Records a use at this time.
    pub fn note(&self, kind: Kind, id: &str, now: Timestamp) {
        let mut noted = self.noted.lock();
        let noted = noted.entry(kind).or_default();
        match noted.get_mut(id) {
            Some(time) => *time = now,
            None => {
                noted.insert(id.to_owned(), now);
            }
        }
    }

    /// When it was last used, if that is not written yet.
    pub fn pending(&self, kind: Kind, id: &str) -> Option<Timestamp> {
        let noted = self.noted.lock();
        noted.get(&kind)?.get(id).copied()
    }

    fn take(&self) -> Vec<((Kind, String), Timestamp)> {
        let noted = std::mem::take(&mut *self.noted.lock());
        let of_kind = |(kind, noted): (Kind, HashMap<_, _>)| {
            noted.into_iter().map(move |(id, time)| ((kind, id), time))
        };
        noted.into_iter().flat_map(of_kind).collect()
    }

    /// Puts back uses that could not be written, unless there are later ones.
    fn give_back(&self, noted: Vec<((Kind, String), Timestamp)>) {
        let mut map = self.noted.lock();
        for ((kind, id), time) in noted {
            map.entry(kind).or_default().entry(id).or_insert(time);
        }
    }
}

/// Writes periodically until `stop` is true, and once more after that.
pub async fn run(context: Arc<Context>, last_use: Arc<LastUse>, mut stop: watch::Receiver<bool>) {
    loop {
        let stopped = tokio::time::timeout(PAUSE, stop.wait_for(|stop| *stop)).await.is_ok();
        if let Err(error) = write(&context, &last_use, stopped).await {
            tracing::warn!(error = error.chain(), "last use of keys not written");
        }
        if stopped {
            return;
        }
        for kind in [Kind::Session, Kind::Invitation] {
            if let Err(error) = remove_ended(&context, kind).await {
                tracing::warn!(error = error.chain(), "expired sessions and links not removed");
            }
        }
    }
}

async fn write(context: &Context, last_use: &LastUse, all: bool) -> Result<()> {
    let mut noted = last_use.take();
    while !noted.is_empty() {
        let part = noted.split_off(noted.len().saturating_sub(BATCH));
        match write_part(context, &part, all).await {
            Ok(later) => last_use.give_back(later),
            // A row was changed at the same time: it is written the next time.
            Err(error) if error.kind() == ootheca_model::ErrorKind::Stale => last_use.give_back(part),
            Err(error) => {
                last_use.give_back(part);
                last_use.give_back(noted);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Writes the uses that are due, and returns the others.
async fn write_part(
    context: &Context,
    part: &[((Kind, String), Timestamp)],
    all: bool,
) -> Result<Vec<((Kind, String), Timestamp)>> {
    let mut batch = Batch { quiet: true, ..Batch::server("last use") };
    let mut later = Vec::new();
    for ((kind, id), time) in part {
        let use_of = match kind {
            Kind::ApiKey => used::<ApiKey>(context, id, *time, all, |key| &mut key.last_used_at).await?,
            _ => used_session(context, id, *time, all).await?,
        };
        match use_of {
            Use::Recorded(mutation) => batch.mutations.push(*mutation),
            Use::Early => later.push(((*kind, id.clone()), *time)),
            Use::Gone => {}
        }
    }
    if !batch.mutations.is_empty() {
        context.store.commit(batch, context.now()).await?;
    }
    Ok(later)
}

/// What to do about the use of a key or session.
enum Use {
    /// Write this.
    Recorded(Box<Mutation>),
    /// Nothing yet: the last use that was recorded is too recent.
    Early,
    /// Nothing: the row was deleted.
    Gone,
}

async fn used<T: Document + Clone + Sync + 'static>(
    context: &Context,
    id: &str,
    time: Timestamp,
    all: bool,
    member: fn(&mut T) -> &mut Option<Timestamp>,
) -> Result<Use> {
    let Some(found) = context.find::<T>(id).await? else { return Ok(Use::Gone) };
    let mut value = found.value.clone();
    let last = member(&mut value);
    if !all && last.is_some_and(|last| time.since(last) < COARSE) {
        return Ok(Use::Early);
    }
    *last = Some(time);
    documents::update(&found.row, &value).map(|mutation| Use::Recorded(Box::new(mutation)))
}

async fn used_session(context: &Context, id: &str, time: Timestamp, all: bool) -> Result<Use> {
    let Some(found) = context.find::<Session>(id).await? else { return Ok(Use::Gone) };
    if !all && time.since(found.value.last_used_at) < COARSE {
        return Ok(Use::Early);
    }
    let value = Session { last_used_at: time, ..found.value.clone() };
    documents::update(&found.row, &value).map(|mutation| Use::Recorded(Box::new(mutation)))
}

async fn remove_ended(context: &Context, kind: Kind) -> Result<()> {
    for id in context.store.due(kind, context.now(), BATCH).await? {
        let row: Option<Row> = match kind {
            Kind::Session => documents::find::<Session>(&*context.store, &id).await?.map(|found| found.row),
            _ => documents::find::<Invitation>(&*context.store, &id).await?.map(|found| found.row),
        };
        let Some(row) = row else { continue };
        let batch = Batch::server("session expiry").with(documents::delete(&row));
        match context.store.commit(batch, context.now()).await {
            Err(error) if error.kind() != ootheca_model::ErrorKind::Stale => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
