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
use tokio_postgres::Client;

/// A session that has not been used for this long is closed, because an idle session uses memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Locked while the session is in use.
#[derive(Debug, Default)]
pub(super) struct ControlSession(tokio::sync::Mutex<Option<OpenSession>>);

#[derive(Debug)]
struct OpenSession {
    client: Client,
    /// The process id of the server.
    server: u32,
    used: Instant,
}

impl ControlSession {
    /// Runs `work` in the session that `select` finds in the instance. Opens it if necessary, and closes it after an
    /// error. `Unavailable` unless the server is ready.
    pub(super) async fn run<T>(
        instance: &Arc<Instance>,
        select: fn(&Instance) -> &Self,
        work: impl AsyncFnOnce(&Client) -> Result<T>,
    ) -> Result<T> {
        let mut session = select(instance).0.lock().await;
        let server = instance.ready_pid().ok_or_else(not_ready)?;
        // Taken, so that it is closed if this is canceled.
        let open = session.take().filter(|open| open.server == server && !open.client.is_closed());
        let client = match open {
            Some(open) => open.client,
            None => {
                let client = connect(instance, server).await?;
                tokio::spawn(close_unused(instance.clone(), select));
                client
            }
        };
        let result = work(&client).await?;
        *session = Some(OpenSession { client, server, used: Instant::now() });
        Ok(result)
    }

    /// Closes the session unless it is in use.
    pub(super) fn close(&self) {
        if let Ok(mut session) = self.0.try_lock() {
            *session = None;
        }
    }
}

async fn close_unused(instance: Arc<Instance>, select: fn(&Instance) -> &ControlSession) {
    loop {
        tokio::time::sleep(IDLE_TIMEOUT).await;
        let mut session = select(&instance).0.lock().await;
        if session.as_ref().is_none_or(|open| open.used.elapsed() >= IDLE_TIMEOUT) {
            *session = None;
            return;
        }
    }
}

/// Opens a session whose own CPU time is not counted as the tenant's.
async fn connect(instance: &Instance, server: u32) -> Result<Client> {
    let before = process::children(server);
    let client = server::connect(&instance.context, &instance.sockets(), "postgres").await?;
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(|error| {
        Error::unavailable("cannot identify the session in the SQL server").because(error)
    })?;
    let pid = row.try_get::<_, i32>(0).ok().and_then(|pid| u32::try_from(pid).ok());
    let ours = pid.filter(|pid| !before.contains(pid) && process::children(server).contains(pid));
    if let Some(pid) = ours {
        instance.context.cgroups.exempt(pid);
    }
    Ok(client)
}
