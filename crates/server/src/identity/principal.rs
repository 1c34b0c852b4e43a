//! Service accounts and people as principals with all their grants.

use crate::{
    context::Context,
    identity::{api_key::unauthenticated, groups::grants_of},
};
use ootheca_model::{Person, Principal, Result, ServiceAccount};
use std::sync::Arc;

/// A service account as a principal.
pub fn of_account(account: &ServiceAccount) -> Principal {
    Principal {
        organization: account.organization,
        id: account.id,
        name: account.name.clone(),
        person: false,
        grants: account.grants.clone(),
    }
}

/// A person as a principal, with the grants of its groups. `Unauthenticated` if the person is not active.
pub async fn of_person(context: &Context, person: &Person) -> Result<Arc<Principal>> {
    if !person.profile.active {
        return Err(unauthenticated());
    }
    Ok(Arc::new(Principal {
        organization: person.organization,
        id: person.id,
        name: person.email.clone(),
        person: true,
        grants: grants_of(context, person).await?,
    }))
}
