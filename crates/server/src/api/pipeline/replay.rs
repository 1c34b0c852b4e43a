//! A change whose idempotency key was used before: its answer is given again, or found out.

use crate::{
    api::{
        call::{Attempt, Call},
        decision::Reply,
        dispatch::Outcome,
        handlers, hierarchy,
        idempotency::{self, Progress, Record, Ticket},
        pipeline::{Answer, Visit},
        redact,
    },
    documents::{self, Stored},
};
use ootheca_model::{
    Error, ErrorKind, Principal, Result,
    audit::{AuditEntry, INTERRUPTED},
};
use ootheca_store::Batch;
use std::sync::Arc;
use uuid::Uuid;

impl Visit {
    /// Keeps how an effect ended, for whoever uses the key again.
    pub(super) async fn keep(&self, ticket: Option<&Ticket>, result: &Result<Vec<u8>>) -> Result<()> {
        let Some(ticket) = ticket else { return Ok(()) };
        let progress = match result {
            Ok(body) => ticket.answered(200, body)?,
            Err(error) if idempotency::is_final(error) => {
                let refused = Answer::refused(error);
                ticket.answered(refused.status, &refused.body)?
            }
            Err(_) => Progress::Acting { entry: None },
        };
        ticket.note(&self.api.context, progress).await;
        Ok(())
    }

    /// The caller was refused. If what it names is gone since it asked the same under this key, and it
    /// would still be let in where that lay, it gets its answer again.
    pub(super) async fn again_or_refuse(
        &self,
        entry: AuditEntry,
        principal: &Arc<Principal>,
        refusal: Error,
    ) -> Result<Answer> {
        let ticket = self.extensions().ok().and_then(|extensions| self.ticket(principal, &extensions));
        let Some(ticket) = ticket else { return self.refuse(entry, refusal).await };
        let _turn = self.api.idempotency.take(ticket.id()).await;
        let found = ticket.find(&self.api.context).await?.filter(|found| ticket.check(&found.value).is_ok());
        let Some(found) = found else { return self.refuse(entry, refusal).await };
        let folders = found.value.folders.clone();
        let target = hierarchy::gone_target(
            &self.api.context,
            principal.organization,
            self.operation.scope,
            &self.params,
            folders,
        );
        match target.await?.map(|target| self.authorize_at(principal, target)) {
            Some(Ok(call)) => self.again(entry, call, &ticket, found).await,
            _ => self.refuse(entry, refusal).await,
        }
    }

    /// The key was used before: gives the answer that was, or finds it out where it was never given.
    pub(super) async fn again(
        &self,
        entry: AuditEntry,
        mut call: Call,
        ticket: &Ticket,
        found: Stored<Record>,
    ) -> Result<Answer> {
        let record = &found.value;
        if let Err(error) = ticket.check(record) {
            return self.refuse(entry, error).await;
        }
        let first = Some(record.trace_id.clone());
        match &record.progress {
            Progress::Answered { status, sealed } => {
                Ok(Answer { status: *status, first, ..Answer::done(ticket.open(sealed)?) })
            }
            Progress::Settling { cluster } => {
                let body = handlers::cluster_settled(&self.api.metering, *cluster).await?;
                ticket.note(&self.api.context, ticket.answered(200, &body)?).await;
                Ok(Answer { first, ..Answer::done(body) })
            }
            Progress::Acting { entry: begun } => {
                let (begun, first) = match begun {
                    Some(begun) => (*begun, first),
                    // The earlier entry says how that attempt failed, so this one has its own.
                    None => (self.begin_again(&entry, &found).await?, None),
                };
                call.attempt = Attempt::Again;
                let result = self.act(Arc::new(call)).await;
                let error = result.as_ref().err().map(redact::error);
                match self.api.context.store.complete_audit(begun, &entry.payload, error.as_deref()).await {
                    // The server stopped after it had completed the entry, before it kept the answer.
                    Err(error) if error.kind() == ErrorKind::Precondition => {}
                    done => done?,
                }
                self.keep(Some(ticket), &result).await?;
                match result {
                    Ok(body) => Ok(Answer { first, ..Answer::done(body) }),
                    Err(error) if error.kind() == ErrorKind::Internal => Err(error),
                    Err(error) => Ok(Answer { first, ..Answer::refused(&error) }),
                }
            }
        }
    }

    async fn begin_again(&self, entry: &AuditEntry, found: &Stored<Record>) -> Result<Uuid> {
        let progress = Progress::Acting { entry: Some(entry.id) };
        let record = Record { progress, trace_id: self.trace_id.clone(), ..found.value.clone() };
        let mut batch = Batch::server("idempotency").with(documents::update(&found.row, &record)?);
        batch.audit.push(AuditEntry { error: Some(INTERRUPTED.to_owned()), ..entry.clone() });
        self.api.context.store.commit(batch, self.api.context.now()).await?;
        Ok(entry.id)
    }

    /// Runs the effect of a change whose batch is written.
    async fn act(&self, call: Arc<Call>) -> Result<Vec<u8>> {
        match self.dispatch(&call).await? {
            Outcome::Change(change) => match change.reply {
                Reply::Effect(future) => future.await,
                _ => Err(Error::internal("an effect is none any more")),
            },
            Outcome::Read(_) => Err(Error::internal("a change changed nothing")),
        }
    }
}
