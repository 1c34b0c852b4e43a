//! Runs a change up to its commit, and rolls it back.

use crate::api::{
    call::Call,
    decision::{Decision, Reply},
    dispatch::Outcome,
    pipeline::{ATTEMPTS, Answer, RequestContext, step_aside},
};
use ootheca_model::{Error, ErrorKind, Result, audit::AuditEntry};
use ootheca_store::{Change, Kind};
use std::sync::Arc;

/// The ID of a row that never exists, so that the commit of a dry run fails.
const DRY_RUN: &str = "dry run";

impl RequestContext {
    /// Runs everything except the change. Writes an audit entry only if the handler finds that the caller is
    /// not authorized.
    pub(super) async fn dry_run(&self, entry: AuditEntry, call: &Arc<Call>) -> Result<Answer> {
        let answer = match self.decide_dry_run(call).await {
            Ok(body) => Answer::done(body),
            Err(error) if error.kind() == ErrorKind::Internal => return Err(error),
            Err(error) => {
                if error.kind() == ErrorKind::Denied {
                    self.note_refusal(entry, &error).await?;
                }
                Answer::refused(&error)
            }
        };
        Ok(Answer { dry_run: true, ..answer })
    }

    async fn decide_dry_run(&self, call: &Arc<Call>) -> Result<Vec<u8>> {
        for attempt in 0..ATTEMPTS {
            step_aside(attempt).await;
            let change = match self.dispatch(call).await {
                Ok(Outcome::Change(change)) => change,
                Ok(Outcome::Read(_)) => return Err(Error::internal("a change changed nothing")),
                Err(error) if error.kind() == ErrorKind::Stale => continue,
                Err(error) => return Err(error),
            };
            let Decision { mut batch, reply, .. } = *change;
            let Reply::Ready(body) = reply else {
                return Err(Error::internal("a dry run has a pending reply"));
            };
            // The store makes all changes, and rolls them back when the last one fails.
            batch.changes.push(Change::Touch { kind: Kind::Setting, id: DRY_RUN.to_owned(), revision: 0 });
            match self.api.context.store.commit(batch, self.api.context.now()).await {
                Ok(_) => return Err(Error::internal("a dry run was written")),
                Err(error) if error.kind() != ErrorKind::Stale => return Err(error),
                Err(error) if error.message().contains(DRY_RUN) => return Ok(body),
                Err(_) => {}
            }
        }
        Err(Error::unavailable("too many concurrent changes of the same object; try again"))
    }
}
