//! The sign-in link that `ootheca serve` prints, to be used once by the operator of this machine.
//!
//! It is for the first administrator and only in memory, so that starting a server does not write to the
//! store. When it is used, it is stored like any other link, and an administrator is created if there is
//! none. It must not be logged.

use crate::{
    context::Context,
    documents,
    identity::{
        administrators::{EMAIL, LASTS, administrator},
        local_audit, token,
    },
};
use ootheca_model::{Error, ErrorKind, Invitation, Organization, Result, Timestamp};
use ootheca_store::{Batch, Kind, Query, Store};
use parking_lot::{Mutex, MutexGuard};

/// The maximum number of attempts if concurrent changes come first.
const ATTEMPTS: usize = 10;

/// The link that was printed last, until it is used.
#[derive(Default)]
pub struct SignInLink(Mutex<Option<Printed>>);

#[derive(Clone)]
struct Printed {
    /// SHA-256 of its token in hexadecimal.
    id: String,
    expires_at: Timestamp,
}

impl SignInLink {
    fn lock(&self) -> MutexGuard<'_, Option<Printed>> {
        self.0.lock()
    }

    /// Creates a link that replaces the previous one, and returns its token.
    pub fn fresh(&self, now: Timestamp) -> String {
        let token = token::random();
        *self.lock() = Some(Printed { id: token::id(&token), expires_at: now.after(LASTS) });
        token
    }

    /// If `token` belongs to the printed link, stores it as a link for the administrator.
    pub async fn redeem(&self, context: &Context, token: &str) -> Result<()> {
        let Some(printed) = self.take(&token::id(token), context.now()) else { return Ok(()) };
        let written = write(context, &printed).await;
        if written.is_err() {
            *self.lock() = Some(printed);
        }
        written
    }

    fn take(&self, id: &str, now: Timestamp) -> Option<Printed> {
        let mut printed = self.lock();
        let fits = printed.as_ref().is_some_and(|printed| printed.id == id && printed.expires_at > now);
        if fits { printed.take() } else { None }
    }
}

async fn write(context: &Context, printed: &Printed) -> Result<()> {
    let mut last = Error::unavailable("too many concurrent changes of the administrator; try again");
    for _ in 0..ATTEMPTS {
        let now = context.now();
        let organization = organization(&*context.store).await?;
        let administrator = administrator(&*context.store, &organization, now).await?;
        let (id, expires_at) = (printed.id.clone(), printed.expires_at);
        let link = Invitation { id, expires_at, ..administrator.link("ootheca serve", now) };
        let mut batch = Batch::server("link").with(administrator.change).with(documents::insert(&link)?);
        if administrator.made {
            batch.audit.push(local_audit::entry(organization.id, "CREATE_USER", EMAIL, now));
        }
        match context.store.commit(batch, now).await {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Exists) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The organization of a server, which has exactly one.
async fn organization(store: &dyn Store) -> Result<Organization> {
    let rows = store.list(&Query { limit: 1, ..Query::all(Kind::Organization) }).await?;
    let row = rows.into_iter().next().ok_or_else(|| Error::precondition("no organization exists yet"))?;
    Ok(documents::decode(row)?.value)
}
