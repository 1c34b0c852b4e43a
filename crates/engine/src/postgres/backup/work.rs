//! What is done in a server that has recovered complete data: masking, or statements of the engine.
//!
//! The statements run without the control password of the data, which can be that of another machine. Single-user mode of
//! PostgreSQL is no alternative: it requires that the user ID of the owner has a name.

use super::{
    recovery::{Recovery, remove_file},
    unpack::write_file,
};
use crate::{
    files::blocking,
    postgres::{
        context::{CONTROL_USER, EngineContext},
        deadline::within_deadline,
        masking, server,
    },
};
use ootheca_model::{Error, Result, backup::MaskingScript};
use std::path::Path;

/// The rules for connections of the server that runs statements of the engine, in its data directory.
pub(super) const PRIVATE_ACCESS_FILE: &str = "pg_hba_private.conf";
const DATABASE: &str = "postgres";

#[derive(Clone, Copy)]
pub(super) enum Work<'a> {
    Nothing,
    Masking(&'a MaskingScript),
    /// Statements of the engine.
    Change(&'a str),
}

impl Work<'_> {
    /// The setting that the server needs for it.
    pub(super) fn option(self, data: &Path) -> Option<String> {
        let file = data.join(PRIVATE_ACCESS_FILE);
        matches!(self, Self::Change(_)).then(|| format!("hba_file={}", file.display()))
    }

    pub(super) async fn run(self, context: &EngineContext, sockets: &Path) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Masking(script) => masking::run(context, sockets, script).await,
            Self::Change(sql) => within_deadline(change(sockets, sql)).await,
        }
    }
}

impl Recovery<'_> {
    /// Runs masking on data that is complete, and has the control password of its cluster. `interrupted` ends it early.
    pub(super) async fn mask(
        &self,
        script: &MaskingScript,
        interrupted: impl Future<Output = ()>,
    ) -> Result<()> {
        self.work(Work::Masking(script), interrupted).await
    }

    /// Runs statements of the engine, in one transaction, in data that is complete. `interrupted` ends it early.
    pub(super) async fn change(&self, sql: &str, interrupted: impl Future<Output = ()>) -> Result<()> {
        let (path, owner) = (self.data.join(PRIVATE_ACCESS_FILE), self.owner.clone());
        blocking({
            let path = path.clone();
            move || write_file(&path, &owner, access().as_bytes())
        })
        .await?;
        let changed = self.work(Work::Change(sql), interrupted).await;
        let removed = blocking(move || remove_file(&path)).await;
        changed.and(removed)
    }
}

/// Requires no password, because the folder of the sockets has the mode 0700: only the owner and root reach them.
fn access() -> String {
    format!("local all {CONTROL_USER} trust\n")
}

async fn change(sockets: &Path, sql: &str) -> Result<()> {
    let client = server::connect_with("", sockets, DATABASE).await?;
    let changed = client.batch_execute(sql).await;
    changed.map_err(|error| Error::unavailable("PostgreSQL could not change the data").because(error))
}
