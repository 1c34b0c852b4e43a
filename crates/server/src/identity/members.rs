//! People of an organization: recording that an invited person has signed in, and removing a person.

use crate::{
    context::Context,
    documents::{self, Stored},
    identity::{administrators::keep_an_admin, sessions::end_all},
};
use ootheca_model::{ErrorKind, Person, Principal, Result};
use ootheca_store::{Batch, Kind, Mutation};

/// Records that an invited person has signed in with the token of another issuer, without a session.
pub async fn record_arrival(context: &Context, principal: &Principal) -> Result<()> {
    if !principal.person {
        return Ok(());
    }
    let found = context.find::<Person>(&principal.id.to_string()).await?;
    let Some(found) = found.filter(|found| found.value.invited) else { return Ok(()) };
    let after = Person { invited: false, ..found.value.clone() };
    let batch = Batch::server("people").with(documents::update(&found.row, &after)?);
    match context.store.commit(batch, context.now()).await {
        // The person was changed at the same time: the next call records it.
        Err(error) if error.kind() == ErrorKind::Stale => Ok(()),
        done => done.map(|_| ()),
    }
}

/// The changes that remove a person with all sessions and links. `Precondition` for the last administrator.
pub async fn removal(context: &Context, person: &Stored<Person>) -> Result<Vec<Mutation>> {
    let Person { organization, id, grants, .. } = &person.value;
    let links = Mutation::DeleteChildren { kind: Kind::Invitation, parent: id.to_string() };
    let mut changes = vec![documents::delete(&person.row), end_all(*id), links];
    changes.extend(keep_an_admin(context, *organization, grants, &[], *id).await?);
    Ok(changes)
}
