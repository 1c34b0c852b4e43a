//! Limits the time of every call to a server. The server's own `statement_timeout` usually comes first, but a
//! server that hangs does not enforce it.

use super::{
    admin::AdminSession,
    server::{CHECKPOINT_STATEMENT_TIMEOUT, STATEMENT_TIMEOUT},
};
use crate::{Admin, Database};
use async_trait::async_trait;
use ootheca_model::{Error, Result, login::Login};
use std::time::Duration;
use tokio::time::timeout;

/// How much later than the server this process ends a call.
const GRACE_PERIOD: Duration = Duration::from_secs(15);
/// The time limit for a call, which can run several statements.
const CALL_TIMEOUT: Duration = STATEMENT_TIMEOUT.saturating_add(GRACE_PERIOD);
/// The time limit for a call that waits for a checkpoint.
pub(super) const CHECKPOINT_TIMEOUT: Duration = CHECKPOINT_STATEMENT_TIMEOUT.saturating_add(GRACE_PERIOD);

/// Returns `Unavailable` if the call takes longer than `limit`.
pub(super) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, call).await.unwrap_or_else(|late| {
        Err(Error::unavailable("the SQL server did not respond in time").because(late))
    })
}

/// Returns `Unavailable` if the call takes too long.
pub(super) async fn within_deadline<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    within(CALL_TIMEOUT, call).await
}

/// Waits for the response to a single request, whose error `explain` converts. Returns `Unavailable` if it takes too
/// long.
pub(super) async fn response<T, E>(
    request: impl Future<Output = Result<T, E>>,
    explain: impl FnOnce(E) -> Error,
) -> Result<T> {
    within_deadline(async { request.await.map_err(explain) }).await
}

/// An administrative session that ends when a call exceeds its time limit.
pub(super) struct BoundedSession(Option<AdminSession>);

impl BoundedSession {
    pub(super) fn new(session: AdminSession) -> Self {
        Self(Some(session))
    }

    async fn call<T>(&mut self, call: impl AsyncFnOnce(&mut AdminSession) -> Result<T>) -> Result<T> {
        // Taken back only if the call ends, so that the next call does not wait for the same server.
        let ended = || Error::unavailable("the session in the SQL server has ended");
        let mut session = self.0.take().ok_or_else(ended)?;
        let result = within_deadline(async { Ok(call(&mut session).await) }).await?;
        self.0 = Some(session);
        result
    }
}

impl Drop for BoundedSession {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.end();
        }
    }
}

#[async_trait]
impl Admin for BoundedSession {
    async fn users(&mut self) -> Result<Vec<String>> {
        self.call(async |session| session.users().await).await
    }

    async fn logins(&mut self) -> Result<Vec<Login>> {
        self.call(async |session| session.logins().await).await
    }

    async fn create_user(&mut self, name: &str, password: &str) -> Result<()> {
        self.call(async |session| session.create_user(name, password).await).await
    }

    async fn set_password(&mut self, name: &str, password: &str) -> Result<()> {
        self.call(async |session| session.set_password(name, password).await).await
    }

    async fn delete_user(&mut self, name: &str) -> Result<()> {
        self.call(async |session| session.delete_user(name).await).await
    }

    async fn databases(&mut self) -> Result<Vec<Database>> {
        self.call(async |session| session.databases().await).await
    }

    async fn count_tables(&mut self, databases: &[String]) -> Result<Vec<Option<i64>>> {
        self.call(async |session| session.count_tables(databases).await).await
    }

    async fn is_empty(&mut self, database: &str) -> Result<bool> {
        self.call(async |session| session.is_empty(database).await).await
    }

    async fn create_database(&mut self, name: &str) -> Result<()> {
        self.call(async |session| session.create_database(name).await).await
    }

    async fn rename_database(&mut self, name: &str, new_name: &str) -> Result<()> {
        self.call(async |session| session.rename_database(name, new_name).await).await
    }

    async fn drop_database(&mut self, name: &str) -> Result<()> {
        self.call(async |session| session.drop_database(name).await).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ootheca_model::ErrorKind;
    use std::future::pending;

    #[tokio::test]
    async fn calls_that_take_too_long_are_unavailable() {
        let error = within(Duration::from_millis(1), pending::<Result<()>>()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(within_deadline(async { Ok(1) }).await.unwrap(), 1);
        let refused = response(async { Err::<(), _>("refused") }, Error::internal).await.unwrap_err();
        assert_eq!((refused.kind(), refused.message()), (ErrorKind::Internal, "refused"));
    }
}
