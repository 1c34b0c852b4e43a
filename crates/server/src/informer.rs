//! All active documents of a kind, for the loops that visit every one of them.
//!
//! It reads IDs and revisions from the store, and then only the documents that have changed. It reads nothing
//! if the stamp of the kind is unchanged. It is only for kinds whose IDs are never used again.

use crate::documents::{self, Document, Stored};
use ootheca_model::Result;
use ootheca_store::{Query, Store};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Mutex;

/// The maximum number of documents that are read at once.
const AT_ONCE: usize = 500;

/// Documents by ID. Ordered, so that the loops visit them in the same order each time.
pub type Things<T> = BTreeMap<String, Arc<Stored<T>>>;

/// The result of the last read.
pub struct Informer<T>(Mutex<Snapshot<T>>);

struct Snapshot<T> {
    stamp: Option<u64>,
    things: Arc<Things<T>>,
}

impl<T> Default for Informer<T> {
    fn default() -> Self {
        Self(Mutex::new(Snapshot { stamp: None, things: Arc::default() }))
    }
}

impl<T: Document> Informer<T> {
    /// All active documents, as they are currently in the store.
    pub async fn refresh(&self, store: &dyn Store) -> Result<Arc<Things<T>>> {
        let mut known = self.0.lock().await;
        // Read before the documents, so that the next call notices concurrent changes.
        let stamp = store.stamp(T::KIND);
        if stamp.is_none() || known.stamp != stamp {
            let changed = revisit(&mut known.things, store.revisions(T::KIND).await?);
            for ids in changed.chunks(AT_ONCE) {
                let query = Query { ids: Some(ids.to_vec()), ..Query::active(T::KIND) };
                let rows = store.list(&query).await?.into_iter().map(documents::decode::<T>);
                let rows = rows.collect::<Result<Vec<_>>>()?;
                let things = rows.into_iter().map(|thing| (thing.row.id.clone(), Arc::new(thing)));
                Arc::make_mut(&mut known.things).extend(things);
            }
            known.stamp = stamp;
        }
        Ok(known.things.clone())
    }
}

/// Removes documents that have changed or are gone. Returns the IDs that have to be read.
fn revisit<T>(things: &mut Arc<Things<T>>, revisions: Vec<(String, i64)>) -> Vec<String> {
    let now: BTreeMap<String, i64> = revisions.into_iter().collect();
    let same = |id: &String, thing: &Stored<T>| now.get(id) == Some(&thing.row.revision);
    if things.iter().any(|(id, thing)| !same(id, thing)) {
        Arc::make_mut(things).retain(|id, thing| same(id, thing));
    }
    now.into_keys().filter(|id| !things.contains_key(id)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use ootheca_model::{Folder, FolderId, OrganizationId, Timestamp};
    use ootheca_store::Batch;
    use std::collections::BTreeSet;
    use uuid::Uuid;

    fn folder(number: u128, name: &str) -> Folder {
        Folder {
            id: FolderId(Uuid::from_u128(number)),
            organization: OrganizationId(Uuid::nil()),
            name: name.to_owned(),
            parent: None,
            labels: Default::default(),
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
        }
    }

    fn names(things: &Things<Folder>) -> BTreeSet<&str> {
        things.values().map(|folder| folder.value.name.as_str()).collect()
    }

    #[tokio::test]
    async fn a_refresh_matches_the_store_and_keeps_unchanged_documents() {
        let file = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", file.path().join("store.db").display());
        let store = &*ootheca_store::open(&url).await.unwrap();
        let commit = async |change| {
            store.commit(Batch::server("test").with(change), Timestamp(2)).await.unwrap();
        };
        let informer = Informer::<Folder>::default();
        assert!(informer.refresh(store).await.unwrap().is_empty());
        for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
            commit(documents::insert(&folder(number, name)).unwrap()).await;
        }
        let before = informer.refresh(store).await.unwrap();
        assert_eq!(names(&before), BTreeSet::from(["one", "two", "three"]));
        assert!(Arc::ptr_eq(&before, &informer.refresh(store).await.unwrap()), "nothing changed");
        let row = |number: u128| &before[&Uuid::from_u128(number).to_string()].row;
        commit(documents::update(row(2), &folder(2, "zwei")).unwrap()).await;
        commit(documents::touch(row(1))).await;
        commit(documents::delete(row(3))).await;
        let after = informer.refresh(store).await.unwrap();
        assert_eq!(names(&after), BTreeSet::from(["one", "zwei"]));
        assert_eq!(names(&before), BTreeSet::from(["one", "two", "three"]), "who looked before keeps that");
        let [one, two] = [1, 2].map(|number| Uuid::from_u128(number).to_string());
        assert_eq!(after[&one].row.revision, 2, "touched");
        commit(documents::touch(&after[&one].row)).await;
        let last = informer.refresh(store).await.unwrap();
        assert!(Arc::ptr_eq(&after[&two], &last[&two]), "read once");
    }
}
