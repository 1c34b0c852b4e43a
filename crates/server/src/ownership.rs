//! Which engine serves a store, if its data can only be reached from one machine.
//!
//! The ID of the engine is a file in the data directory. The store contains the ID of one owner, set by
//! compare-and-set: a second engine with the same store would have none of the clusters' data.

use crate::{data_dir::DataDir, documents, ids::fresh_id};
use ootheca_model::{Error, ErrorKind, Result, Timestamp};
use ootheca_store::{Batch, Kind, Mutation, Row, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const FILE: &str = "engine-id";
const ROW: &str = "engine-owner";

/// An engine in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    engine_id: Uuid,
    host: String,
    data_dir: String,
}

impl Owner {
    /// The engine of this data directory. Its ID is created by the first call.
    pub fn of(data: &DataDir, host: String) -> Result<Self> {
        let engine_id = match data.read_private(FILE)? {
            Some(text) => text.trim().parse().map_err(|error| {
                let path = data.path().join(FILE);
                Error::internal(format!("{} is damaged", path.display())).because(error)
            })?,
            None => {
                let id = fresh_id();
                data.write_private(FILE, &format!("{id}\n"))?;
                id
            }
        };
        Ok(Self { engine_id, host, data_dir: data.path().display().to_string() })
    }

    /// Makes this engine the owner of the store. Returns `Precondition` with the owner if there is another
    /// one, unless the store is to be adopted.
    pub async fn claim(&self, store: &dyn Store, adopt: bool, now: Timestamp) -> Result<()> {
        loop {
            let change = match stored(store).await? {
                None => Mutation::Insert(self.row(now)?),
                Some((_, owner)) if owner == *self => return Ok(()),
                Some((row, owner)) => {
                    let moved = owner.engine_id == self.engine_id;
                    if !moved && !adopt {
                        return Err(owner.refusal());
                    }
                    if !moved {
                        tracing::warn!(
                            host = owner.host,
                            data_dir = owner.data_dir,
                            "store adopted from its owner"
                        );
                    }
                    Mutation::Update(Row { revision: row.revision, ..self.row(now)? })
                }
            };
            match store.commit(Batch::server("ownership").with(change), now).await {
                Err(error) if matches!(error.kind(), ErrorKind::Exists | ErrorKind::Stale) => {}
                result => return result.map(drop),
            }
        }
    }

    /// Returns `Precondition` with the new owner if the store was adopted by another engine.
    pub async fn check(&self, store: &dyn Store) -> Result<()> {
        match stored(store).await? {
            Some((_, owner)) if owner.engine_id != self.engine_id => Err(owner.refusal()),
            _ => Ok(()),
        }
    }

    fn row(&self, now: Timestamp) -> Result<Row> {
        let document = serde_json::to_string(self)
            .map_err(|error| Error::internal("could not encode the setting engine-owner").because(error))?;
        Ok(documents::setting(ROW, document, now))
    }

    fn refusal(&self) -> Error {
        let Self { engine_id, host, data_dir } = self;
        Error::precondition(format!(
            "store: it belongs to the engine {engine_id} on host {host} with data_dir {data_dir}, where the clusters' \
             data is; stop that server and start with --adopt-store to take the store over without its data"
        ))
    }
}

async fn stored(store: &dyn Store) -> Result<Option<(Row, Owner)>> {
    let Some(row) = store.get(Kind::Setting, ROW).await? else { return Ok(None) };
    let owner = serde_json::from_str(&row.document)
        .map_err(|error| Error::internal("setting engine-owner: damaged").because(error))?;
    Ok(Some((row, owner)))
}
