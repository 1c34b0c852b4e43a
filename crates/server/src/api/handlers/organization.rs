//! The caller's organization.

use crate::{api::call::Call, documents};
use ootheca_api::wire::*;
use ootheca_model::Result;
use std::sync::Arc;

/// `GET /organization`
pub async fn get_organization_info(call: Arc<Call>) -> Result<Organization> {
    let id = call.granted.organization();
    let found =
        documents::get::<ootheca_model::Organization>(&*call.context.store, id, &id.to_string()).await?.value;
    Ok(Organization {
        id: found.id.to_string(),
        name: found.name,
        label: found.label,
        created_at: found.created_at,
        ..Organization::default()
    })
}
