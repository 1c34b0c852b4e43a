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
    /// `None` where it is known that there is none.
    thing: Option<Arc<dyn Any + Send + Sync>>,
}

impl Memory {
    /// The thing with this id, whatever its organization, as it is in the store at this moment.
    pub async fn find<T>(&self, store: &dyn Store, id: &str) -> Result<Option<Arc<Stored<T>>>>
    where
        T: Document + Sync + 'static,
    {
        self.look(store, id, false).await
    }

    /// The same, for ids that callers can not invent: that there is none is remembered too.
    pub async fn find_or_none<T>(&self, store: &dyn Store, id: &str) -> Result<Option<Arc<Stored<T>>>>
    where
        T: Document + Sync + 'static,
    {
        self.look(store, id, true).await
    }

    async fn look<T>(&self, store: &dyn Store, id: &str, even_none: bool) -> Result<Option<Arc<Stored<T>>>>
    where
        T: Document + Sync + 'static,
    {
        // Taken before reading: what changes meanwhile makes the memory void.
        let Some(stamp) = store.stamp(T::KIND) else {
            return Ok(rows::find(store, id).await?.map(Arc::new));
        };
        match self.recall(T::KIND, id, stamp) {
            Some(None) => return Ok(None),
            Some(Some(thing)) => {
                if let Ok(thing) = thing.downcast() {
                    return Ok(Some(thing));
                }
            }
            None => {}
        }
        let found = rows::find(store, id).await?.map(Arc::new);
        if even_none || found.is_some() {
            let thing = found.clone().map(|thing| thing as Arc<dyn Any + Send + Sync>);
            self.remember(T::KIND, id, Known { stamp, thing });
        }
        Ok(found)
    }

    /// What is remembered, if anything is.
    fn recall(&self, kind: Kind, id: &str, stamp: u64) -> Option<Option<Arc<dyn Any + Send + Sync>>> {
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
