//! Links for signing in once, for new people and for forgotten passwords. Only a hash of the token is stored.

use crate::{
    documents::{self, Document},
    identity::token,
};
use ootheca_model::{Invitation, Person, Result, Timestamp};
use ootheca_store::Mutation;
use std::time::Duration;

/// A link for `person` that replaces all earlier ones: its token, the link, and the changes that store it.
pub fn fresh_link(
    person: &Person,
    creator_name: &str,
    lasts: Duration,
    now: Timestamp,
) -> Result<(String, Invitation, Vec<Mutation>)> {
    let token = token::random();
    let link = Invitation {
        organization: person.organization,
        id: token::id(&token),
        person: person.id,
        email: person.email.clone(),
        reset: person.password.is_some(),
        creator_name: creator_name.to_owned(),
        created_at: now,
        expires_at: now.after(lasts),
    };
    let earlier = Mutation::DeleteChildren { kind: Invitation::KIND, parent: person.id.to_string() };
    let insert = documents::insert(&link)?;
    Ok((token, link, vec![earlier, insert]))
}
