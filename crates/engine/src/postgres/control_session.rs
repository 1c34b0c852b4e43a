//! A session of the control user that stays open between uses, because opening one takes longer than a query.
//!
//! It belongs to one run of the server, and does not prevent the server from being stopped. Its CPU time is not
//! counted as the tenant's, and it can use the connections that PostgreSQL reserves for superusers.

use super::{
    instance::Instance,
    process,
    server::{self, ControlConnection, not_ready},
};
use ootheca_model::{Error, Result};
use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_postgres::{
    Client, Row, Statement,
    types::{ToSql, Type},
};

/// A session that has not been used for this long is closed, because an idle session uses memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit for keeping a session.
const KEEP_TIMEOUT: Duration = Duration::from_secs(2);

/// Locked while the session is in use.
#[derive(Default)]
pub(super) struct ControlSession(Arc<tokio::sync::Mutex<Option<OpenSession>>>);

impl fmt::Debug for ControlSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlSession").finish_non_exhaustive()
    }
}

/// The session that an instance keeps for one purpose.
pub(super) type Select = fn(&Instance) -> &ControlSession;

/// The connection is polled by the task that uses the session, because handing every message to another task takes
/// longer than most queries.
pub(super) struct OpenSession {
    client: Client,
    /// `None` if the server has closed it.
    connection: Option<ControlConnection>,
    /// The process ID of the server.
    server: u32,
    used: Instant,
    statements: Vec<(&'static str, Statement)>,
}

impl OpenSession {
    /// A session that has just been opened in the server.
    pub(super) fn new(client: Client, connection: ControlConnection, server: u32) -> Self {
        Self { client, connection: Some(connection), server, used: Instant::now(), statements: Vec::new() }
    }

    /// The session, if it is one of this server and the server has not closed it.
    async fn usable(mut self, server: u32) -> Option<Self> {
        poll_fn(|context| {
            poll_connection(&mut self.connection, context);
            Poll::Ready(())
        })
        .await;
        (self.server == server && self.connection.is_some()).then_some(self)
    }

    /// Runs a query that is prepared when it is first used. `types` are those of its parameters.
    pub(super) async fn query(
        &mut self,
        text: &'static str,
        types: &[Type],
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let Self { client, connection, statements, .. } = self;
        let work = async {
            let prepared = statements.iter().find(|(query, _)| *query == text);
            let statement = match prepared {
                Some((_, statement)) => statement.clone(),
                None => {
                    let statement = client.prepare_typed(text, types).await?;
                    statements.push((text, statement.clone()));
                    statement
                }
            };
            client.query(&statement, values).await
        };
        drive(connection, work).await
    }

    /// Excludes the CPU time of the session from the tenant's, in the background: the kernel takes some 15 ms to move a
    /// process to another control group.
    async fn exempt(&mut self, instance: &Arc<Instance>) -> Result<()> {
        let identify = self.client.query_typed_one("SELECT pg_backend_pid()", &[]);
        let row = drive(&mut self.connection, identify).await.map_err(|error| {
            Error::unavailable("cannot identify the session in the SQL server").because(error)
        })?;
        if let Some(pid) = row.try_get::<_, i32>(0).ok().and_then(|pid| u32::try_from(pid).ok()) {
            let (instance, server) = (instance.clone(), self.server);
            tokio::task::spawn_blocking(move || {
                if process::children(server).contains(&pid) {
                    instance.context.cgroups.exempt(pid);
                }
            });
        }
        Ok(())
    }
}

/// Polls the connection while `work` uses its client.
async fn drive<T>(connection: &mut Option<ControlConnection>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(result) = work.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        poll_connection(connection, context);
        work.as_mut().poll(context)
    })
    .await
}

/// Drops the connection once the server has closed it, so that its client returns errors.
fn poll_connection(connection: &mut Option<ControlConnection>, context: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(context).is_ready()) {
        *connection = None;
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
        let open = match session.take() {
            Some(open) => open.usable(server).await,
            None => None,
        };
        let mut open = match open {
            Some(open) => open,
            None => {
                let opened = server::open(&instance.context, &instance.sockets(), "postgres").await;
                let (client, connection) = opened?;
                let mut open = OpenSession::new(client, connection, server);
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

    /// Keeps a session that an administrative operation no longer needs, unless there is one already.
    pub(super) fn keep(
        instance: &Arc<Instance>,
        select: Select,
        open: impl Future<Output = Option<OpenSession>> + Send + 'static,
    ) {
        // Locked here, so that the next use waits for this session instead of opening another one.
        let Ok(mut session) = select(instance).0.clone().try_lock_owned() else { return };
        if session.is_some() {
            return;
        }
        let instance = instance.clone();
        tokio::spawn(async move {
            let keep = async {
                let mut open = open.await?;
                open.exempt(&instance).await.ok()?;
                *session = Some(open);
                Some(())
            };
            if timeout(KEEP_TIMEOUT, keep).await.is_ok_and(|kept| kept.is_some()) {
                drop(session);
                close_unused(instance, select).await;
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
