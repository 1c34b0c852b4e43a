//! What is stored under an idempotency key, so that the same request gets the same response and its change is
//! made once.
//!
//! The record is written in the transaction of the change, with whatever leads to the response: the response
//! itself, the cluster that it shows, or a mark that a side effect has begun. So a change never exists without
//! its key.
//!
//! Responses may hold secrets. They are sealed under a key that is derived from the installation's key and the
//! caller's idempotency key, of which only a digest is stored: a copy of the store opens none.

pub mod locks;

use crate::{
    api::decision::Reply,
    context::Context,
    documents::{self, Document, Stored},
    identity::api_key::hex,
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ootheca_model::{
    ClusterId, Error, ErrorKind, FolderId, OrganizationId, Principal, Result, Timestamp, audit::AuditEntry,
};
use ootheca_store::{Batch, Kind, Row};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use uuid::Uuid;

/// How long a key stands for its request.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often records that are older are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Most records that are removed in one transaction.
const PRUNED_AT_ONCE: usize = 500;

/// What is kept under a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// A digest of caller and key.
    pub id: String,
    /// The caller's organization.
    pub organization: OrganizationId,
    /// When the change was written.
    pub created_at: Timestamp,
    /// A digest of the request.
    pub request: String,
    /// The trace of the audit entry.
    pub trace_id: String,
    /// The folders that its target lay in: where it is gone, nothing else tells who may handle it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<FolderId>,
    /// How far it came.
    pub progress: Progress,
}

/// How far a change came, that was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// To its answer.
    Answered {
        /// HTTP status.
        status: u16,
        /// The body, sealed.
        sealed: Sealed,
    },
    /// The answer is this cluster once it has settled.
    Settling {
        /// The cluster.
        cluster: ClusterId,
    },
    /// An effect outside the store was begun, and maybe done: it can be done again.
    Acting {
        /// Its audit entry; `None` if that already says that it failed.
        entry: Option<Uuid>,
    },
}

/// A text that only the caller's key opens. Base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    nonce: String,
    text: String,
}

impl Document for IdempotencyRecord {
    const KIND: Kind = Kind::Idempotency;
    const NAME: &'static str = "idempotency key";

    fn columns(&self) -> Row {
        let row =
            documents::row(Self::KIND, self.id.clone(), self.organization, String::new(), self.created_at);
        Row { due_at: Some(self.created_at.after(KEPT)), ..row }
    }
}

/// A key as one caller used it for one request.
pub struct IdempotencyKey {
    id: String,
    organization: OrganizationId,
    request: String,
    sealing: [u8; 32],
}

impl IdempotencyKey {
    /// `request` is what must be the same whenever the key is used.
    pub fn new(context: &Context, caller: &Principal, key: &str, request: &[&str]) -> Self {
        Self::of(&context.page_key, caller, key, request)
    }

    fn of(installation: &[u8; 32], caller: &Principal, key: &str, request: &[&str]) -> Self {
        let caller_id = caller.id.to_string();
        let digest = |purpose, parts: &[&str]| {
            let mac = Hmac::<Sha256>::new_from_slice(installation).expect("HMAC takes keys of any length");
            let parts = [purpose, caller_id.as_str()].iter().chain(parts).fold(mac, |mac, part| {
                mac.chain_update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes())
                    .chain_update(part)
            });
            parts.finalize().into_bytes()
        };
        Self {
            id: hex(&digest("idempotency key", &[key])),
            organization: caller.organization,
            request: hex(&digest("idempotent request", request)),
            sealing: digest("sealed answer", &[key]).into(),
        }
    }

    /// The id under which the key is kept.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is kept under the key. A record whose time is over is removed.
    pub async fn find(&self, context: &Context) -> Result<Option<Stored<IdempotencyRecord>>> {
        let found = documents::find::<IdempotencyRecord>(&*context.store, &self.id).await?;
        let Some(found) = found else { return Ok(None) };
        if found.row.due_at.is_none_or(|due| due > context.now()) {
            return Ok(Some(found));
        }
        let batch = Batch::server("idempotency").with(documents::delete(&found.row));
        match context.store.commit(batch, context.now()).await {
            // A concurrent request removed it, and may have used the key again.
            Err(error) if error.kind() == ErrorKind::Stale => {
                documents::find::<IdempotencyRecord>(&*context.store, &self.id).await
            }
            done => done.map(|_| None),
        }
    }

    /// The record of a change that is about to be written.
    pub fn record(
        &self,
        now: Timestamp,
        trace_id: &str,
        folders: &[FolderId],
        progress: Progress,
    ) -> IdempotencyRecord {
        IdempotencyRecord {
            id: self.id.clone(),
            organization: self.organization,
            created_at: now,
            request: self.request.clone(),
            trace_id: trace_id.to_owned(),
            folders: folders.to_vec(),
            progress,
        }
    }

    /// Refuses another request than the one that the key stands for.
    pub fn check(&self, record: &IdempotencyRecord) -> Result<()> {
        if record.request == self.request {
            return Ok(());
        }
        let message = "Idempotency-Key: was used for another request; for 24 hours a key stands for one \
                       method, path, query, version and body of its caller";
        Err(Error::new(ErrorKind::Exists, message))
    }

    /// Stores how far the change came. Best effort: without it the next use of the key finds the same out
    /// again.
    pub async fn note(&self, context: &Context, progress: Progress) {
        let noted = async {
            let Some(found) = documents::find::<IdempotencyRecord>(&*context.store, &self.id).await? else {
                return Ok(());
            };
            // The first answer stands.
            if matches!(found.value.progress, Progress::Answered { .. }) {
                return Ok(());
            }
            let record = IdempotencyRecord { progress, ..found.value };
            let batch = Batch::server("idempotency").with(documents::update(&found.row, &record)?);
            context.store.commit(batch, context.now()).await.map(|_| ())
        };
        match noted.await {
            Err(error) if error.kind() != ErrorKind::Stale => {
                tracing::warn!(error = error.chain(), "response under an idempotency key not stored");
            }
            _ => {}
        }
    }

    /// What leads to the answer of a change once it is written: `entry` is its audit entry.
    pub fn progress(&self, entry: &AuditEntry, reply: &Reply<Vec<u8>>) -> Result<Progress> {
        match (reply, entry.cluster) {
            (Reply::Ready(body), _) => self.answered(200, body),
            (Reply::Pending(_), Some(cluster)) => Ok(Progress::Settling { cluster }),
            (Reply::Pending(_), None) => Err(Error::internal("a change waits for no cluster")),
            (Reply::SideEffect(_), _) => Ok(Progress::Acting { entry: Some(entry.id) }),
        }
    }

    /// An answer, as it is kept.
    pub fn answered(&self, status: u16, body: &[u8]) -> Result<Progress> {
        let mut text = body.to_vec();
        let sealed = self.cipher()?.seal_in_place_append_tag(Aad::from(self.request.as_bytes()), &mut text);
        let nonce = sealed.map_err(|error| Error::internal("an answer can not be sealed").because(error))?;
        let sealed = Sealed { nonce: STANDARD.encode(nonce.as_ref()), text: STANDARD.encode(text) };
        Ok(Progress::Answered { status, sealed })
    }

    /// The answer that was kept.
    pub fn open(&self, sealed: &Sealed) -> Result<Vec<u8>> {
        let damaged = || Error::internal("the answer under an idempotency key is damaged");
        let decode = |text: &str| STANDARD.decode(text).map_err(|error| damaged().because(error));
        let nonce: [u8; NONCE_LEN] = decode(&sealed.nonce)?.try_into().map_err(|_| damaged())?;
        let mut text = decode(&sealed.text)?;
        let aad = Aad::from(self.request.as_bytes());
        let open = self.cipher()?.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut text);
        let length = open.map_err(|error| damaged().because(error))?.len();
        text.truncate(length);
        Ok(text)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.sealing)
            .map_err(|error| Error::internal("no key to seal answers").because(error))
    }
}

/// Whether the same request would be refused the same way again, so that the refusal is the answer.
pub fn is_final(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::Stale)
}

/// Removes records whose time is over, until `stop` turns true.
pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut moved = context.clock_moved.subscribe();
    loop {
        if let Err(error) = prune(&context).await {
            tracing::warn!(error = error.chain(), "expired idempotency records not removed");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = moved.changed() => {}
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}

async fn prune(context: &Context) -> Result<()> {
    loop {
        let due = context.store.due(Kind::Idempotency, context.now(), PRUNED_AT_ONCE).await?;
        let mut batch = Batch::server("idempotency");
        for id in &due {
            let row = context.store.get(Kind::Idempotency, id).await?;
            batch.changes.extend(row.iter().map(documents::delete));
        }
        if batch.changes.is_empty() {
            return Ok(());
        }
        match context.store.commit(batch, context.now()).await {
            Err(error) if error.kind() != ErrorKind::Stale => return Err(error),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
