//! The link that `ootheca serve` prints: whoever sees the terminal of this machine comes in by it, once.
//!
//! It is for the first administrator, and kept in memory only: a start writes nothing. When it is used it
//! becomes a link like any other, and an administrator is made if there is none. It must never be logged.

use crate::{
    admin,
    app::{App, fresh_id},
    first_start::ADMIN_ROLES,
    keys,
    people::sessions,
    rows::{self, Document},
};
use ootheca_model::{
    Error, ErrorKind, Grant, Invitation, Organization, Person, PrincipalId, Result, Role, Timestamp,
    identity::normal_grants,
};
use ootheca_store::{Batch, Change, Kind, Order, Query, Store};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long such a link can be used.
pub const LASTS: Duration = Duration::from_secs(15 * 60);
/// Who is made where nobody is there yet.
pub const EMAIL: &str = "admin@localhost";

/// How often it is tried again when a concurrent change was faster.
const ATTEMPTS: usize = 10;

/// The link that was printed last, until it is used.
#[derive(Default)]
pub struct LocalLink(Mutex<Option<Printed>>);

#[derive(Clone)]
struct Printed {
    /// SHA-256 of its token, hexadecimal.
    id: String,
    expires_at: Timestamp,
}

impl LocalLink {
    fn lock(&self) -> MutexGuard<'_, Option<Printed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, id: &str, now: Timestamp) -> Option<Printed> {
        let mut printed = self.lock();
        let fits = printed.as_ref().is_some_and(|printed| printed.id == id && printed.expires_at > now);
        if fits { printed.take() } else { None }
    }
}

/// The token of a fresh one, in place of the one before.
pub fn fresh(app: &App) -> String {
    let token = keys::random_token();
    let printed = Printed { id: sessions::id(&token), expires_at: app.now().after(LASTS) };
    *app.local_link.lock() = Some(printed);
    token
}

/// If `token` is the one that was printed, writes it down as a link of the administrator.
pub async fn redeem(app: &App, token: &str) -> Result<()> {
    let Some(printed) = app.local_link.take(&sessions::id(token), app.now()) else { return Ok(()) };
    let written = write(app, &printed).await;
    if written.is_err() {
        *app.local_link.lock() = Some(printed);
    }
    written
}

async fn write(app: &App, printed: &Printed) -> Result<()> {
    let mut last = Error::unavailable("too many concurrent changes of the administrator; try again");
    for _ in 0..ATTEMPTS {
        let now = app.now();
        let organization = organization(&*app.store).await?;
        let administrator = administrator(&*app.store, &organization, now).await?;
        let (id, expires_at) = (printed.id.clone(), printed.expires_at);
        let link = Invitation { id, expires_at, ..administrator.link("ootheca serve", now) };
        let mut batch = Batch::server("link").with(administrator.change).with(rows::insert(&link)?);
        if administrator.made {
            batch.audit.push(admin::entry(organization.id, "CREATE_USER", EMAIL, now));
        }
        match app.store.commit(batch, now).await {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Exists) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Whom such a link is for.
pub(crate) struct Administrator {
    pub(crate) person: Person,
    /// What a batch with the link must hold too.
    pub(crate) change: Change,
    /// Whether that makes the person.
    pub(crate) made: bool,
}

impl Administrator {
    /// A link that comes in once, beside all others; its id is still to be set.
    pub(crate) fn link(&self, creator_name: &str, now: Timestamp) -> Invitation {
        Invitation {
            organization: self.person.organization,
            id: String::new(),
            person: self.person.id,
            email: self.person.email.clone(),
            reset: self.person.password.is_some(),
            creator_name: creator_name.to_owned(),
            created_at: now,
            expires_at: now.after(LASTS),
        }
    }
}

/// The organization of a server; there is one.
async fn organization(store: &dyn Store) -> Result<Organization> {
    let rows = store.list(&Query { limit: 1, ..Query::all(Kind::Organization) }).await?;
    let row = rows.into_iter().next().ok_or_else(|| Error::precondition("there is no organization yet"))?;
    Ok(rows::decode(row)?.value)
}

/// The first person who administers the organization and may come in, or one who is still to be made.
pub(crate) async fn administrator(
    store: &dyn Store,
    organization: &Organization,
    now: Timestamp,
) -> Result<Administrator> {
    let query =
        Query { organization: Some(organization.id), order: Order::CreatedAt, ..Query::all(Kind::Person) };
    for row in store.list(&query).await? {
        let found = rows::decode::<Person>(row)?;
        let person = found.value;
        if person.profile.active && person.grants.contains(&Grant::organization(Role::OrgAdmin)) {
            return Ok(Administrator { person, change: rows::touch(&found.row), made: false });
        }
    }
    let mut person = Person::new(organization.id, PrincipalId(fresh_id()), EMAIL, now)?;
    let key = person.columns().unique_key.unwrap_or_default();
    if store.by_unique_key(Kind::Person, &key).await?.is_some() {
        let message = format!(
            "nobody who holds ORG_ADMIN may come in, and {EMAIL} is here without it; `ootheca admin create-user` makes somebody who does"
        );
        return Err(Error::precondition(message));
    }
    person.grants = normal_grants(ADMIN_ROLES.map(Grant::organization));
    let change = rows::insert(&person)?;
    Ok(Administrator { person, change, made: true })
}
