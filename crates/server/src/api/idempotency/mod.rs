//! What is stored under an idempotency key, so that the same request gets the same response and its change is
//! made once.
//!
//! The record is written in the transaction of the change, with the data that leads to the response: the
//! response itself, the cluster to return, or a mark that a side effect has started. So a change never exists
//! without its key.
//!
//! Responses can contain secrets. They are encrypted with a key that is derived from the key of the
//! installation and the caller's idempotency key. Only a digest of the latter is stored, so a copy of the
//! store is not sufficient to decrypt them.

pub mod locks;

use crate::{
    api::decision::Reply,
    context::Context,
    documents::{self, Document, Stored},
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ootheca_model::{
    ClusterId, Error, ErrorKind, FolderId, OrganizationId, Principal, Result, Timestamp, audit::AuditEntry,
    hex,
};
use ootheca_store::{Batch, Kind, Row};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use uuid::Uuid;

/// How long a key is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often expired records are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// The maximum number of records that are removed in one transaction.
const PRUNED_AT_ONCE: usize = 500;

/// The record of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// A digest of caller and key.
    pub id: String,
    /// The caller's organization.
    pub organization: OrganizationId,
    /// When the change was committed.
    pub created_at: Timestamp,
    /// A digest of the request.
    pub request: String,
    /// The trace ID of the audit entry.
    pub trace_id: String,
    /// The folders that contained its target. After the target was deleted, only these are left for
    /// authorization.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<FolderId>,
    /// The progress of the change.
    pub progress: Progress,
}

/// The progress of a change that was committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The response is known.
    Answered {
        /// HTTP status.
        status: u16,
        /// The encrypted body.
        sealed: Sealed,
    },
    /// The response is this cluster, once it has settled.
    Settling {
        /// The cluster.
        cluster: ClusterId,
    },
    /// A side effect outside of the store was started, and may be complete. It can be repeated.
    Acting {
        /// Its audit entry; `None` if the entry already records a failure.
        entry: Option<Uuid>,
    },
}

/// A text that is encrypted with a key derived from the caller's idempotency key, in Base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    nonce: String,
    text: String,
}

impl Document for IdempotencyRecord {
    const KIND: Kind = Kind::Idempotency;

    fn columns(&self) -> Row {
        let row =
            documents::row(Self::KIND, self.id.clone(), self.organization, String::new(), self.created_at);
        Row { due_at: Some(self.created_at.after(KEPT)), ..row }
    }
}

/// A key that one caller uses for one request.
pub struct IdempotencyKey {
    id: String,
    organization: OrganizationId,
    request: String,
    sealing: [u8; 32],
}

impl IdempotencyKey {
    /// `request` is the part of the request that must be equal whenever the key is used.
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
            id: hex::encode(&digest("idempotency key", &[key])),
            organization: caller.organization,
            request: hex::encode(&digest("idempotent request", request)),
            sealing: digest("sealed answer", &[key]).into(),
        }
    }

    /// The ID of the record.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The record of the key. An expired record is removed.
    pub async fn find(&self, context: &Context) -> Result<Option<Stored<IdempotencyRecord>>> {
        let found = documents::find::<IdempotencyRecord>(&*context.store, &self.id).await?;
        let Some(found) = found else { return Ok(None) };
        if found.row.due_at.is_none_or(|due| due > context.now()) {
            return Ok(Some(found));
        }
        let batch = Batch::server("idempotency").with(documents::delete(&found.row));
        match context.store.commit(batch, context.now()).await {
            // A concurrent request has removed it, and may have used the key again.
            Err(error) if error.kind() == ErrorKind::Stale => {
                documents::find::<IdempotencyRecord>(&*context.store, &self.id).await
            }
            done => done.map(|_| None),
        }
    }

    /// The record of a change that is about to be committed.
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

    /// Refuses a request that differs from the one for which the key was used.
    pub fn check(&self, record: &IdempotencyRecord) -> Result<()> {
        if record.request == self.request {
            return Ok(());
        }
        let message = "Idempotency-Key: was used for another request; for 24 hours, a key only matches the \
                       method, path, query, version, and body of its first request";
        Err(Error::new(ErrorKind::Exists, message))
    }

    /// Stores the progress of the change. If this fails, the next use of the key determines the progress
    /// again.
    pub async fn note(&self, context: &Context, progress: Progress) {
        let noted = async {
            let Some(found) = documents::find::<IdempotencyRecord>(&*context.store, &self.id).await? else {
                return Ok(());
            };
            // The first response is final.
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

    /// The progress of a change after its commit. `entry` is its audit entry.
    pub fn progress(&self, entry: &AuditEntry, reply: &Reply<Vec<u8>>) -> Result<Progress> {
        match (reply, entry.cluster) {
            (Reply::Ready(body), _) => self.answered(200, body),
            (Reply::Pending(_), Some(cluster)) => Ok(Progress::Settling { cluster }),
            (Reply::Pending(_), None) => Err(Error::internal("a pending reply has no cluster")),
            (Reply::SideEffect(_), _) => Ok(Progress::Acting { entry: Some(entry.id) }),
        }
    }

    /// The progress for a response.
    pub fn answered(&self, status: u16, body: &[u8]) -> Result<Progress> {
        let mut text = body.to_vec();
        let sealed = self.cipher()?.seal_in_place_append_tag(Aad::from(self.request.as_bytes()), &mut text);
        let nonce = sealed.map_err(|error| {
            Error::internal("could not encrypt a response for its idempotency key").because(error)
        })?;
        let sealed = Sealed { nonce: STANDARD.encode(nonce.as_ref()), text: STANDARD.encode(text) };
        Ok(Progress::Answered { status, sealed })
    }

    /// Decrypts a stored response.
    pub fn open(&self, sealed: &Sealed) -> Result<Vec<u8>> {
        let damaged = || Error::internal("the stored response of an idempotency key is damaged");
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
        RandomizedNonceKey::new(&AES_256_GCM, &self.sealing).map_err(|error| {
            Error::internal("could not derive the key that encrypts stored responses").because(error)
        })
    }
}

/// Whether repeating the request would return the same error, so that the error is the final response.
pub fn is_final(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::Stale)
}

/// Removes expired records until `stop` is true.
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
            batch.mutations.extend(row.iter().map(documents::delete));
        }
        if batch.mutations.is_empty() {
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
