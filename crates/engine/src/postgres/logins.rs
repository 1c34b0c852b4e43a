//! Reads the secret of a SQL user for a login. Logins that arrive during a read share the next one.

use super::{
    admin::{readable, secret},
    control_session::{ControlSession, OpenSession, Select},
    deadline::within,
    instance::Instance,
    statement_error::StatementError,
};
use ootheca_model::{Result, login::Secret, names, sql_name};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tokio_postgres::{Row, types::Type};

/// The time limit for a login to read its secret.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

const READ: &str = "SELECT namesend(rolname), textsend(rolpassword), coalesce(rolvaliduntil <= now(), false) \
    FROM pg_authid WHERE namesend(rolname) = ANY ($1) AND rolcanlogin AND NOT rolsuper";

/// The session that reads secrets, and the logins that wait for it.
#[derive(Debug, Default)]
pub(super) struct LoginReader {
    session: ControlSession,
    waiting: parking_lot::Mutex<Vec<WaitingLogin>>,
}

#[derive(Debug)]
struct WaitingLogin {
    name: Vec<u8>,
    result: oneshot::Sender<Option<Secret>>,
}

impl LoginReader {
    /// Closes the session.
    pub(super) fn close(&self) {
        self.session.close();
    }
}

/// The session of an instance that reads secrets.
const SESSION: Select = |instance| &instance.logins.session;

impl Instance {
    /// Keeps a session for the next login, which would open one otherwise.
    pub(super) fn keep_for_logins(
        self: &Arc<Self>,
        open: impl Future<Output = Option<OpenSession>> + Send + 'static,
    ) {
        ControlSession::keep(self, SESSION, open);
    }

    /// The secret of a user that can log in, as the server has it now; `None` for any other name. `Unavailable` if
    /// the server does not respond in time.
    pub(super) async fn secret(self: &Arc<Self>, user: &str) -> Result<Option<Secret>> {
        let Some(name) = sql_name::parse(user).filter(|_| !names::engine_user(user)) else { return Ok(None) };
        let (sender, mut result) = oneshot::channel();
        self.logins.waiting.lock().push(WaitingLogin { name: name.clone(), result: sender });
        let read = ControlSession::run(self, SESSION, async |session| {
            // A login that had the session before this one has read this secret, too.
            if let Ok(secret) = result.try_recv() {
                return Ok(secret);
            }
            let waiting = std::mem::take(&mut *self.logins.waiting.lock());
            // This name is not among the others if the login that was reading it was canceled.
            let names: Vec<&[u8]> =
                waiting.iter().map(|login| login.name.as_slice()).chain([name.as_slice()]).collect();
            let secrets = read(session, &names).await?;
            for login in waiting {
                let secret = secrets.get(&login.name).cloned();
                // An error means that the login was canceled.
                let _ = login.result.send(secret);
            }
            Ok(secrets.get(&name).cloned())
        });
        let secret = within(READ_TIMEOUT, read).await;
        if secret.is_err() {
            // Otherwise, failed logins would pile up until the server responds again.
            result.close();
            self.logins.waiting.lock().retain(|login| !login.result.is_closed());
        }
        secret
    }
}

async fn read(session: &mut OpenSession, names: &[&[u8]]) -> Result<HashMap<Vec<u8>, Secret>> {
    let failed = |error| StatementError::from(error).other("read the secret of a SQL user");
    let rows = session.query(READ, &[Type::BYTEA_ARRAY], &[&names]).await.map_err(failed)?;
    Ok(rows.iter().filter_map(|row| readable(login(row))).collect())
}

fn login(row: &Row) -> Result<(Vec<u8>, Secret), tokio_postgres::Error> {
    Ok((row.try_get(0)?, secret(row.try_get(1)?, row.try_get(2)?)))
}
