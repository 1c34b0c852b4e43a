//! Runs a change up to its commit, and only validates the batch.

use crate::api::{
    call::Call,
    decision::{Decision, Reply},
    dispatch::Outcome,
    pipeline::{ATTEMPTS, ChangeResult, RequestContext, step_aside},
};
use ootheca_model::{Error, ErrorKind, Result, audit::AuditEntry};
use std::sync::Arc;

impl RequestContext {
    /// Runs everything except the change. Writes an audit entry only if the handler finds that the caller is
    /// not authorized.
    pub(super) async fn dry_run(&self, entry: AuditEntry, call: &Arc<Call>) -> Result<ChangeResult> {
        let answer = match self.decide_dry_run(call).await {
            Ok(body) => ChangeResult::done(body),
            Err(error) if error.kind() == ErrorKind::Internal => return Err(error),
            Err(error) => {
                if error.kind() == ErrorKind::Denied {
                    self.note_denial(entry, call.granted.principal(), &error).await?;
                }
                ChangeResult::refused(&error)
            }
        };
        Ok(ChangeResult { dry_run: true, ..answer })
    }

    async fn decide_dry_run(&self, call: &Arc<Call>) -> Result<Vec<u8>> {
        for attempt in 0..ATTEMPTS {
            step_aside(attempt).await;
            let change = match self.dispatch(call).await {
                Ok(Outcome::Change(change)) => change,
                Ok(_) => return Err(Error::internal("a change changed nothing")),
                Err(error) if error.kind() == ErrorKind::Stale => continue,
                Err(error) => return Err(error),
            };
            let Decision { batch, reply, .. } = *change;
            let Reply::Ready(body) = reply else {
                return Err(Error::internal("a dry run has a pending reply"));
            };
            match self.api.context.store.validate(batch, self.api.context.now()).await {
                Err(error) if error.kind() == ErrorKind::Stale => {}
                result => return result.map(|()| body),
            }
        }
        Err(Error::unavailable("too many concurrent changes of the same object; try again"))
    }
}
