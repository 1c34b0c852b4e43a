//! Replays the response to a change whose idempotency key was used before, or determines that response.

use crate::{
    api::{
        call::{Attempt, Call},
        decision::Reply,
        dispatch::Outcome,
        handlers, hierarchy,
        idempotency::{self, IdempotencyKey, IdempotencyRecord, Progress},
        pipeline::{ChangeResult, RequestContext},
        redact,
    },
    documents::{self, Stored},
    identity::authenticate::Caller,
};
use ootheca_model::{
    Error, ErrorKind, Result,
    audit::{AuditEntry, INTERRUPTED},
};
use ootheca_store::Batch;
use std::sync::Arc;
use uuid::Uuid;

impl RequestContext {
    /// Stores the result of a side effect, for the next use of the key.
    pub(super) async fn keep(&self, key: Option<&IdempotencyKey>, result: &Result<Vec<u8>>) -> Result<()> {
        let Some(key) = key else { return Ok(()) };
        let progress = match result {
            Ok(body) => key.answered(200, body)?,
            Err(error) if idempotency::is_final(error) => {
                let refused = ChangeResult::refused(error);
                key.answered(refused.status, &refused.body)?
            }
            Err(_) => Progress::Acting { entry: None },
        };
        key.note(&self.api.context, progress).await;
        Ok(())
    }

    /// Handles a caller that is not authorized. If the target was deleted after the same request with this
    /// key, and the caller would still be authorized for its last location, the response is replayed.
    pub(super) async fn replay_or_refuse(
        &self,
        entry: AuditEntry,
        caller: &Caller,
        refusal: Error,
    ) -> Result<ChangeResult> {
        let key = self.extensions().ok().and_then(|extensions| self.key(&caller.principal, &extensions));
        let Some(key) = key else { return self.deny(entry, caller, refusal).await };
        let _lock = self.api.idempotency.lock(key.id()).await;
        let found = key.find(&self.api.context).await?.filter(|found| key.check(&found.value).is_ok());
        let Some(found) = found else { return self.deny(entry, caller, refusal).await };
        let folders = found.value.folders.clone();
        let target = hierarchy::gone_target(
            &self.api.context,
            caller.principal.organization,
            self.operation.scope,
            &self.params,
            folders,
        );
        match target.await?.map(|target| self.authorize_at(caller, target)) {
            Some(Ok(call)) => self.replay(entry, call, &key, found).await,
            _ => self.deny(entry, caller, refusal).await,
        }
    }

    /// Handles a key that was used before: returns the stored response, or determines it.
    pub(super) async fn replay(
        &self,
        entry: AuditEntry,
        mut call: Call,
        key: &IdempotencyKey,
        found: Stored<IdempotencyRecord>,
    ) -> Result<ChangeResult> {
        let record = &found.value;
        if let Err(error) = key.check(record) {
            return self.refuse(entry, error).await;
        }
        let first = Some(record.trace_id.clone());
        match &record.progress {
            Progress::Answered { status, sealed } => {
                Ok(ChangeResult { status: *status, first, ..ChangeResult::done(key.open(sealed)?) })
            }
            Progress::Settling { cluster } => {
                let body = handlers::cluster_settled(&self.api.metering, *cluster).await?;
                key.note(&self.api.context, key.answered(200, &body)?).await;
                Ok(ChangeResult { first, ..ChangeResult::done(body) })
            }
            Progress::Acting { entry: begun } => {
                let (begun, first) = match begun {
                    Some(begun) => (*begun, first),
                    // The earlier entry records a failure, so this attempt gets a separate entry.
                    None => (self.begin_replay(&entry, &found).await?, None),
                };
                call.attempt = Attempt::Replay;
                let result = self.act(Arc::new(call)).await;
                let error = result.as_ref().err().map(redact::error);
                match self.api.context.store.complete_audit(begun, &entry.payload, error.as_deref()).await {
                    // The server stopped after it had completed the entry, and before it stored the response.
                    Err(error) if error.kind() == ErrorKind::Precondition => {}
                    done => done?,
                }
                self.keep(Some(key), &result).await?;
                match result {
                    Ok(body) => Ok(ChangeResult { first, ..ChangeResult::done(body) }),
                    Err(error) if error.kind() == ErrorKind::Internal => Err(error),
                    Err(error) => Ok(ChangeResult { first, ..ChangeResult::refused(&error) }),
                }
            }
        }
    }

    async fn begin_replay(&self, entry: &AuditEntry, found: &Stored<IdempotencyRecord>) -> Result<Uuid> {
        let progress = Progress::Acting { entry: Some(entry.id) };
        let record = IdempotencyRecord { progress, trace_id: self.trace_id.clone(), ..found.value.clone() };
        let mut batch = Batch::server("idempotency").with(documents::update(&found.row, &record)?);
        batch.audit.push(AuditEntry { error: Some(INTERRUPTED.to_owned()), ..entry.clone() });
        self.api.context.store.commit(batch, self.api.context.now()).await?;
        Ok(entry.id)
    }

    /// Runs the side effect of a change that is committed.
    async fn act(&self, call: Arc<Call>) -> Result<Vec<u8>> {
        match self.dispatch(&call).await? {
            Outcome::Change(change) => match change.reply {
                Reply::SideEffect(future) => future.await,
                _ => Err(Error::internal("a replayed change has no side effect")),
            },
            _ => Err(Error::internal("a change changed nothing")),
        }
    }
}
