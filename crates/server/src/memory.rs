//! Things that were read from the store, remembered for as long as nothing of their kind changed.
//!
//! Exact, not approximate: a change makes the stamp of its kind another one before it is acknowledged,
//! and where other servers write too there is no stamp and nothing is remembered.

use crate::rows::{self, Document, Stored};
use ootheca_model::Result;
use ootheca_store::{Kind, Store};
use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Most things of a kind that are remembered.
const REMEMBERED: usize = 1000;

/// A memory of things by their ids, for each kind.
#[derive(Default)]
pub struct Memory {
    kinds: [RwLock<HashMap<String, Known>>; Kind::ALL.len()],
}

struct Known {
    stamp: u64,
    thing: Arc<dyn Any + Send + Sync>,
}

impl Memory {
    /// The thing with this id, whatever its organization, as it is in the store at this moment.
    pub async fn find<T>(&self, store: &dyn Store, id: &str) -> Result<Option<Arc<Stored<T>>>>
    where
        T: Document + Sync + 'static,
    {
        // Taken before reading: what changes meanwhile makes the memory void.
        let Some(stamp) = store.stamp(T::KIND) else {
            return Ok(rows::find(store, id).await?.map(Arc::new));
        };
        if let Some(thing) = self.recall(T::KIND, id, stamp).and_then(|thing| thing.downcast().ok()) {
            return Ok(Some(thing));
        }
        let Some(thing) = rows::find(store, id).await?.map(Arc::new) else { return Ok(None) };
        self.remember(T::KIND, id, Known { stamp, thing: thing.clone() });
        Ok(Some(thing))
    }

    fn recall(&self, kind: Kind, id: &str, stamp: u64) -> Option<Arc<dyn Any + Send + Sync>> {
        let things = self.kinds[kind as usize].read().unwrap_or_else(PoisonError::into_inner);
        things.get(id).filter(|known| known.stamp == stamp).map(|known| known.thing.clone())
    }

    fn remember(&self, kind: Kind, id: &str, known: Known) {
        let mut things = self.kinds[kind as usize].write().unwrap_or_else(PoisonError::into_inner);
        if things.len() >= REMEMBERED {
            things.clear();
        }
        things.insert(id.to_owned(), known);
    }
}
