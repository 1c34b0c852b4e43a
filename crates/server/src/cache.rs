//! Caches documents of the store until a document of the same kind changes.
//!
//! The cache is never stale: a change replaces the stamp of its kind before it is acknowledged. If other
//! servers write to the store too, there are no stamps, and nothing is cached.

use crate::documents::{self, Document, Stored};
use ootheca_model::Result;
use ootheca_store::{Kind, Store};
use std::{any::Any, array, future::Future, sync::Arc};

/// The maximum number of cached entries of a kind.
const REMEMBERED: usize = 1000;

type Entries<T> = quick_cache::sync::Cache<String, T>;

/// Documents by their IDs, for each kind.
pub struct Cache {
    kinds: [Entries<Entry>; Kind::ALL.len()],
}

impl Default for Cache {
    fn default() -> Self {
        Self { kinds: array::from_fn(|_| Entries::new(REMEMBERED)) }
    }
}

#[derive(Clone)]
struct Entry {
    stamp: u64,
    /// `None` if the document is known not to exist.
    thing: Option<Arc<dyn Any + Send + Sync>>,
}

impl Cache {
    /// The current document with this ID, in any organization.
    pub async fn find<T>(&self, store: &dyn Store, id: &str) -> Result<Option<Arc<Stored<T>>>>
    where
        T: Document + Sync + 'static,
    {
        self.read(store, id, false).await
    }

    /// The same for IDs that callers cannot choose, so the absence of a document is cached too.
    pub async fn find_or_none<T>(&self, store: &dyn Store, id: &str) -> Result<Option<Arc<Stored<T>>>>
    where
        T: Document + Sync + 'static,
    {
        self.read(store, id, true).await
    }

    async fn read<T>(&self, store: &dyn Store, id: &str, even_none: bool) -> Result<Option<Arc<Stored<T>>>>
    where
        T: Document + Sync + 'static,
    {
        // Read before the document, so that a concurrent change invalidates the entry.
        let Some(stamp) = store.stamp(T::KIND) else {
            return Ok(documents::find(store, id).await?.map(Arc::new));
        };
        match self.get(T::KIND, id, stamp) {
            Some(None) => return Ok(None),
            Some(Some(thing)) => {
                if let Ok(thing) = thing.downcast() {
                    return Ok(Some(thing));
                }
            }
            None => {}
        }
        let found = documents::find(store, id).await?.map(Arc::new);
        if even_none || found.is_some() {
            let thing = found.clone().map(|thing| thing as Arc<dyn Any + Send + Sync>);
            self.insert(T::KIND, id, Entry { stamp, thing });
        }
        Ok(found)
    }

    /// The cached entry, if there is one.
    fn get(&self, kind: Kind, id: &str, stamp: u64) -> Option<Option<Arc<dyn Any + Send + Sync>>> {
        self.kinds[kind as usize].get(id).filter(|known| known.stamp == stamp).map(|known| known.thing)
    }

    fn insert(&self, kind: Kind, id: &str, known: Entry) {
        self.kinds[kind as usize].insert(id.to_owned(), known);
    }
}

/// Caches the result of a query on rows of one kind, by a key.
pub struct QueryCache<T> {
    kind: Kind,
    known: Entries<(u64, T)>,
}

impl<T: Clone> QueryCache<T> {
    /// An empty cache, which is invalidated when a row of this kind changes.
    pub fn of(kind: Kind) -> Self {
        Self { kind, known: Entries::new(REMEMBERED) }
    }

    /// The result of `read` for the current state of the store. The absence of a result is not cached.
    pub async fn find<F>(&self, store: &dyn Store, key: &str, read: F) -> Result<Option<T>>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        self.under(store.stamp(self.kind), key, read).await
    }

    /// `stamp` was read before `read` is polled, so that a concurrent change invalidates the entry.
    async fn under<F>(&self, stamp: Option<u64>, key: &str, read: F) -> Result<Option<T>>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        let Some(stamp) = stamp else { return read.await };
        if let Some((at, thing)) = self.known.get(key)
            && at == stamp
        {
            return Ok(Some(thing));
        }
        let found = read.await?;
        if let Some(thing) = &found {
            self.known.insert(key.to_owned(), (stamp, thing.clone()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_document_is_read_once_per_stamp() {
        let (memory, reads) = (QueryCache::of(Kind::Cluster), Cell::new(0));
        let find = async |stamp: Option<u64>, key: &str, thing: Option<u8>| {
            let read = async {
                reads.set(reads.get() + 1);
                Ok(thing)
            };
            (memory.under(stamp, key, read).await.expect("no error"), reads.get())
        };
        assert_eq!(find(Some(1), "a", Some(7)).await, (Some(7), 1));
        assert_eq!(find(Some(1), "a", Some(8)).await, (Some(7), 1), "remembered");
        assert_eq!(find(Some(1), "b", Some(9)).await, (Some(9), 2), "another key");
        assert_eq!(find(Some(2), "a", Some(8)).await, (Some(8), 3), "something changed");
        assert_eq!(find(Some(3), "a", None).await, (None, 4));
        assert_eq!(find(Some(3), "a", Some(6)).await, (Some(6), 5), "nothing is not remembered");
        assert_eq!(find(None, "a", Some(5)).await, (Some(5), 6), "others write too");
        assert_eq!(find(None, "a", Some(4)).await, (Some(4), 7));
        for number in 0..REMEMBERED + 10 {
            find(Some(3), &number.to_string(), Some(1)).await;
        }
        assert!(memory.known.len() <= REMEMBERED);
    }

    #[tokio::test]
    async fn a_failure_is_not_cached() {
        let memory = QueryCache::of(Kind::Cluster);
        let failed = async { Err(ootheca_model::Error::unavailable("no store")) };
        assert!(memory.under(Some(1), "a", failed).await.is_err());
        assert_eq!(memory.under(Some(1), "a", async { Ok(Some(1)) }).await.expect("no error"), Some(1));
    }
}
