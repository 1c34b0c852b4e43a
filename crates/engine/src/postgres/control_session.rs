//! A session of the control user that stays open between uses, because opening one takes longer than a query.
//!
//! It belongs to one run of the server, and does not prevent the server from being stopped. Its CPU time is not
//! counted as the tenant's, and it can use the connections that PostgreSQL reserves for superusers.

use super::{
    instance::Instance,
    process,
    server::{self, not_ready},
};
use ootheca_model::{Error, Result};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_postgres::{
    Client, Row, Statement,
    types::{ToSql, Type},
};

/// A session that has not been used for this long is closed, because an idle session uses memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit for a server to tell the process id of a session.
const EXEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Locked while the session is in use.
#[derive(Debug, Default)]
pub(super) struct ControlSession(Arc<tokio::sync::Mutex<Option<OpenSession>>>);

/// The session that an instance keeps for one purpose.
type Select = fn(&Instance) -> &ControlSession;

#[derive(Debug)]
pub(super) struct OpenSession {
    client: Client,
    /// The process id of the server.
    server: u32,
    used: Instant,
    statements: Vec<(&'static str, Statement)>,
}

impl OpenSession {
    /// A session that has just been opened in the server.
    fn new(client: Client, server: u32) -> Self {
        Self { client, server, used: Instant::now(), statements: Vec::new() }
    }

    /// Runs a query that is prepared when it is first used. `types` are those of its parameters.
    pub(super) async fn query(
        &mut self,
        text: &'static str,
        types: &[Type],
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let prepared = self.statements.iter().find(|(query, _)| *query == text);
        let statement = match prepared {
            Some((_, statement)) => statement.clone(),
            None => {
                let statement = self.client.prepare_typed(text, types).await?;
                self.statements.push((text, statement.clone()));
                statement
            }
        };
        self.client.query(&statement, values).await
    }

    /// Excludes the CPU time of the session from the tenant's.
    async fn exempt(&self, instance: &Instance) -> Result<()> {
        let row = self.client.query_typed_one("SELECT pg_backend_pid()", &[]).await.map_err(|error| {
            Error::unavailable("cannot identify the session in the SQL server").because(error)
        })?;
        let pid = row.try_get::<_, i32>(0).ok().and_then(|pid| u32::try_from(pid).ok());
        if let Some(pid) = pid.filter(|pid| process::children(self.server).contains(pid)) {
            instance.context.cgroups.exempt(pid);
        }
        Ok(())
    }
}

impl ControlSession {
    /// Runs `work` in the session that `select` finds in the instance. Opens it if necessary, and closes it after an
    /// error. `Unavailable` unless the server is ready.
    pub(super) async fn run<T>(
        instance: &Arc<Instance>,
        select: Select,
        work: impl AsyncFnOnce(&mut OpenSession) -> Result<T>,
    ) -> Result<T> {
        let mut session = select(instance).0.lock().await;
        let server = instance.ready_pid().ok_or_else(not_ready)?;
        // Taken, so that it is closed if this is canceled.
        let open = session.take().filter(|open| open.server == server && !open.client.is_closed());
        let mut open = match open {
            Some(open) => open,
            None => {
                let client = server::connect(&instance.context, &instance.sockets(), "postgres").await?;
                let open = OpenSession::new(client, server);
                open.exempt(instance).await?;
                tokio::spawn(close_unused(instance.clone(), select));
                open
            }
        };
        let result = work(&mut open).await?;
        open.used = Instant::now();
        *session = Some(open);
        Ok(result)
    }

    /// Keeps a session that an administrative operation no longer needs, unless there is one already. `server` is the
    /// process id of its server.
    pub(super) fn keep(instance: &Arc<Instance>, select: Select, client: Client, server: u32) {
        // Locked here, so that the next use waits for this session instead of opening another one.
        let Ok(mut session) = select(instance).0.clone().try_lock_owned() else { return };
        if session.is_some() {
            return;
        }
        let instance = instance.clone();
        tokio::spawn(async move {
            let open = OpenSession::new(client, server);
            if let Ok(Ok(())) = timeout(EXEMPT_TIMEOUT, open.exempt(&instance)).await {
                *session = Some(open);
                tokio::spawn(close_unused(instance, select));
            }
        });
    }

    /// Closes the session unless it is in use.
    pub(super) fn close(&self) {
        if let Ok(mut session) = self.0.try_lock() {
            *session = None;
        }
    }
}

async fn close_unused(instance: Arc<Instance>, select: Select) {
    loop {
        tokio::time::sleep(IDLE_TIMEOUT).await;
        let mut session = select(&instance).0.lock().await;
        if session.as_ref().is_none_or(|open| open.used.elapsed() >= IDLE_TIMEOUT) {
            *session = None;
            return;
        }
    }
}
