//! Opens the store and creates what an empty store needs: the organization, its administrator and a key, and
//! the people in the settings.
//!
//! It never creates an organization if there is data of existing clusters.

use crate::{
    data_dir::DataDir, documents, identity::api_key::Secret, ids::fresh_id, recovery::RECOVERY_KEY,
    settings::Settings,
};
use ootheca_backups::RecoveryKey;
use ootheca_engine::{postgres, simulated};
use ootheca_model::{
    ApiKey, ClusterId, Error, ErrorKind, Grant, Organization, OrganizationId, Person, PrincipalId, Result,
    Role, ServiceAccount, Timestamp, hex, identity::normal_grants,
};
use ootheca_store::{Batch, Kind, Mutation, Query, Store};
use rand::Rng;
use std::{path::PathBuf, sync::Arc};

/// The environment variable that sets the administrator's key.
pub const KEY_VARIABLE: &str = "OOTHECA_ADMIN_API_KEY";

const KEY_FILE: &str = "admin-api-key";
/// The roles of the first administrator.
pub(crate) const ADMIN_ROLES: [Role; 4] =
    [Role::OrgAdmin, Role::ClusterAdmin, Role::BillingCoordinator, Role::FolderAdmin];

/// Opens the store. Returns `Precondition` if the store is empty although there is data of clusters: a new
/// organization would replace the administrator's key, and the data would not be reachable.
pub async fn open_store(settings: &Settings) -> Result<Arc<dyn Store>> {
    let mut stored = simulated::stored(&settings.simulated_folder());
    let instances = postgres::report(&settings.engine_folder())?;
    stored.extend(instances.into_iter().filter_map(|instance| instance.cluster));
    // A cluster can have several instances.
    stored.sort();
    stored.dedup();
    let url = settings.store_url();
    if let Some(path) = url.strip_prefix("sqlite:") {
        // Checked before the store is opened, which creates an empty file.
        let present = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
        if !present && !stored.is_empty() {
            return Err(store_missing(settings, path, &stored));
        }
    }
    let store = ootheca_store::open(&url).await?;
    let organizations = store.list(&Query { limit: 1, ..Query::all(Kind::Organization) }).await?;
    if organizations.is_empty() && !stored.is_empty() {
        return Err(store_missing(settings, "its database", &stored));
    }
    Ok(store)
}

fn store_missing(settings: &Settings, what: &str, stored: &[ClusterId]) -> Error {
    let count = match stored {
        [_] => "one cluster".to_owned(),
        several => format!("{} clusters", several.len()),
    };
    let folder = settings.data_dir.display();
    Error::precondition(format!(
        "store: {what} is missing or empty, but {folder} contains the data of {count}; restore a copy of the store and \
         start again, or start with another --data-dir to create an empty store"
    ))
}

/// Creates what is missing. Returns the path of the administrator's key if it was written just now.
pub async fn prepare(
    store: &dyn Store,
    settings: &Settings,
    data: &DataDir,
    now: Timestamp,
) -> Result<Option<PathBuf>> {
    let given = given_key()?;
    let mut written = None;
    let organization = loop {
        let organizations = store.list(&Query { limit: 1, ..Query::all(Kind::Organization) }).await?;
        if let Some(row) = organizations.into_iter().next() {
            break documents::decode::<Organization>(row)?.value.id;
        }
        // The file is written first: after a crash, the next start uses its key, and there is no
        // organization without a known key.
        let kept = data.read_private(KEY_FILE)?.as_deref().map(str::trim).and_then(Secret::parse);
        let secret = given.as_deref().and_then(Secret::parse).or(kept).unwrap_or_else(Secret::random);
        let path = data.write_private(KEY_FILE, &format!("{}\n", secret.reveal()))?;
        match found(store, settings, &secret, now).await {
            Ok(organization) => {
                written = Some(path);
                break organization;
            }
            // Another server that starts on the same empty store came first. Its key is the only one.
            Err(error) if error.kind() == ErrorKind::Exists => {
                if documents::find::<ApiKey>(store, secret.id()).await?.is_none() {
                    data.remove_private(KEY_FILE)?;
                }
            }
            Err(error) => return Err(error),
        }
    };
    if let Some(secret) = given.as_deref().and_then(Secret::parse) {
        ensure_key(store, organization, &secret, now).await?;
    }
    ensure_people(store, settings, organization, now).await?;
    Ok(written)
}

fn given_key() -> Result<Option<String>> {
    let Ok(text) = std::env::var(KEY_VARIABLE) else { return Ok(None) };
    match Secret::parse(&text) {
        Some(_) => Ok(Some(text)),
        None => {
            Err(Error::invalid(KEY_VARIABLE, "must be CCDB1_, 22 letters or digits, _, 40 letters or digits"))
        }
    }
}

async fn found(
    store: &dyn Store,
    settings: &Settings,
    secret: &Secret,
    now: Timestamp,
) -> Result<OrganizationId> {
    let organization = Organization {
        id: OrganizationId(fresh_id()),
        name: settings.organization.name.clone(),
        label: settings.organization.label.clone(),
        created_at: now,
    };
    let account = ServiceAccount {
        organization: organization.id,
        id: PrincipalId(fresh_id()),
        name: "admin".to_owned(),
        description: "Created at the first start".to_owned(),
        creator_name: "ootheca".to_owned(),
        created_at: now,
        grants: normal_grants(ADMIN_ROLES.map(Grant::organization)),
    };
    let batch = Batch::server("first start")
        .with(documents::insert(&organization)?)
        .with(documents::insert(&account)?)
        .with(documents::insert(&secret.key("admin", &account, now))?);
    store.commit(batch, now).await?;
    Ok(organization.id)
}

/// A key in the environment is accepted even if the store was created without it.
async fn ensure_key(
    store: &dyn Store,
    organization: OrganizationId,
    secret: &Secret,
    now: Timestamp,
) -> Result<()> {
    if let Some(known) = documents::find::<ApiKey>(store, secret.id()).await? {
        return if secret.matches(&known.value) {
            Ok(())
        } else {
            Err(Error::invalid(KEY_VARIABLE, "an API key with this ID and a different secret exists"))
        };
    }
    let query = Query {
        organization: Some(organization),
        order: ootheca_store::Order::CreatedAt,
        ..Query::all(Kind::ServiceAccount)
    };
    for row in store.list(&query).await? {
        let account = documents::decode::<ServiceAccount>(row)?.value;
        if account.grants.contains(&Grant::organization(Role::OrgAdmin)) {
            let key = secret.key("admin (environment)", &account, now);
            store.commit(Batch::server("first start").with(documents::insert(&key)?), now).await?;
            return Ok(());
        }
    }
    Err(Error::invalid(KEY_VARIABLE, "no service account has the role ORG_ADMIN"))
}

async fn ensure_people(
    store: &dyn Store,
    settings: &Settings,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<()> {
    for email in &settings.organization.people {
        let person = Person::new(organization, PrincipalId(fresh_id()), email, now)
            .map_err(|error| error.context("organization.people"))?;
        match store.commit(Batch::server("people").with(documents::insert(&person)?), now).await {
            Err(error) if error.kind() != ErrorKind::Exists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The key that signs page tokens, created once per store. Tokens are not secret; the signature only prevents
/// callers from forging them.
pub async fn page_key(store: &dyn Store, now: Timestamp) -> Result<[u8; 32]> {
    secret(store, "page-key", now).await
}

/// The key of all backups, created once per store.
pub async fn recovery_key(store: &dyn Store, now: Timestamp) -> Result<RecoveryKey> {
    secret(store, RECOVERY_KEY, now).await.map(RecoveryKey::from_bytes)
}

/// Random bytes that are kept as a setting of the store.
async fn secret(store: &dyn Store, id: &str, now: Timestamp) -> Result<[u8; 32]> {
    loop {
        if let Some(row) = store.get(Kind::Setting, id).await? {
            let bytes = hex::decode(&row.document).and_then(|bytes| bytes.try_into().ok());
            return bytes.ok_or_else(|| Error::internal(format!("setting {id}: damaged")));
        }
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        let row = documents::setting(id, hex::encode(&bytes), now);
        match store.commit(Batch::server("first start").with(Mutation::Insert(row)), now).await {
            Err(error) if error.kind() != ErrorKind::Exists => return Err(error),
            _ => {}
        }
    }
}
