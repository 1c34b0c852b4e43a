//! Converts documents to rows and back.

use ootheca_model::{
    AllowlistEntry, ApiKey, Cluster, ClusterId, ClusterState, Error, Folder, Invitation, JwtIssuer,
    Organization, OrganizationId, Person, Result, ServiceAccount, Session, Timestamp,
    backup::{Base, RecoveryPoint, Restore},
    blackout::BlackoutWindow,
    group::Group,
    meter::{Meter, PeriodUsage},
};
use ootheca_store::{Kind, Mutation, Row, Store};
use serde::{Serialize, de::DeserializeOwned};

/// A type that is stored as a row.
pub trait Document: Serialize + DeserializeOwned + Send {
    /// The kind of the rows.
    const KIND: Kind;

    /// The columns other than the document, which [`insert`] or [`update`] fill in.
    fn columns(&self) -> Row;
}

/// A document together with the row that it was read from.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The row.
    pub row: Row,
    /// The decoded document.
    pub value: T,
}

/// Decodes the document of a row.
pub fn decode<T: Document>(row: Row) -> Result<Stored<T>> {
    let value = serde_json::from_str(&row.document).map_err(|error| {
        Error::internal(format!("{} {}: damaged document", T::KIND.title(), row.id)).because(error)
    })?;
    Ok(Stored { row, value })
}

/// The document with this ID, in any organization.
pub async fn find<T: Document>(store: &dyn Store, id: &str) -> Result<Option<Stored<T>>> {
    store.get(T::KIND, id).await?.map(decode).transpose()
}

/// The document with this ID in `organization`; 404 if there is none.
pub async fn get<T: Document>(
    store: &dyn Store,
    organization: OrganizationId,
    id: &str,
) -> Result<Stored<T>> {
    let row = store.get(T::KIND, id).await?.filter(|row| row.organization == organization);
    decode(row.ok_or_else(|| Error::not_found(T::KIND.title()))?)
}

/// The cluster with this ID, in any state but DELETED; 404 if there is none.
pub async fn undeleted_cluster(
    store: &dyn Store,
    organization: OrganizationId,
    id: Option<ClusterId>,
) -> Result<Stored<Cluster>> {
    let id = id.ok_or_else(|| Error::not_found("cluster"))?;
    let cluster: Stored<Cluster> = get(store, organization, &id.to_string()).await?;
    if cluster.value.state == ClusterState::Deleted { Err(Error::not_found("cluster")) } else { Ok(cluster) }
}

/// Adds `value` as a new row.
pub fn insert<T: Document>(value: &T) -> Result<Mutation> {
    Ok(Mutation::Insert(filled(value, 0)?))
}

/// Replaces the row that `value` was read from.
pub fn update<T: Document>(before: &Row, value: &T) -> Result<Mutation> {
    Ok(Mutation::Update(filled(value, before.revision)?))
}

/// Removes the row.
pub fn delete(row: &Row) -> Mutation {
    Mutation::Delete { kind: row.kind, id: row.id.clone(), revision: row.revision }
}

/// A change that fails if `row` has changed. It guards rules that span the children of `row`.
pub fn touch(row: &Row) -> Mutation {
    Mutation::Touch { kind: row.kind, id: row.id.clone(), revision: row.revision }
}

fn filled<T: Document>(value: &T, revision: i64) -> Result<Row> {
    let document = serde_json::to_string(value)
        .map_err(|error| Error::internal(format!("could not encode {}", T::KIND.title())).because(error))?;
    Ok(Row { document, revision, ..value.columns() })
}

/// The row of a setting, which belongs to no organization.
pub fn setting(id: &str, document: String, now: Timestamp) -> Row {
    let none = OrganizationId(uuid::Uuid::nil());
    Row { document, ..row(Kind::Setting, id.to_owned(), none, id.to_owned(), now) }
}

/// A row with only its identity.
pub fn row(
    kind: Kind,
    id: String,
    organization: OrganizationId,
    sort_key: String,
    created_at: Timestamp,
) -> Row {
    Row {
        kind,
        id,
        organization,
        parent: String::new(),
        unique_key: None,
        alias: None,
        sort_key,
        due_at: None,
        revision: 0,
        created_at,
        updated_at: created_at,
        ended_at: None,
        document: String::new(),
    }
}

/// The sort key of rows that are ordered by a time.
pub fn time_key(time: Timestamp) -> String {
    format!("{:019}", time.0.max(0))
}

impl Document for Organization {
    const KIND: Kind = Kind::Organization;

    fn columns(&self) -> Row {
        // The label is unique: two servers that start at the same time create the organization once.
        Row {
            unique_key: Some(self.label.clone()),
            ..row(Self::KIND, self.id.to_string(), self.id, self.label.clone(), self.created_at)
        }
    }
}

/// The columns of a principal.
macro_rules! principal_columns {
    ($value:expr, $organization:expr, $sort_key:expr) => {
        row(Self::KIND, $value.id.to_string(), $organization, $sort_key, $value.created_at)
    };
}

impl Document for ServiceAccount {
    const KIND: Kind = Kind::ServiceAccount;

    fn columns(&self) -> Row {
        principal_columns!(self, self.organization, self.name.clone())
    }
}

impl Document for Person {
    const KIND: Kind = Kind::Person;

    fn columns(&self) -> Row {
        Row {
            unique_key: Some(format!("{}/{}", self.organization, self.email)),
            // Unique in the organization, because people sign in with it.
            alias: Some(format!("{}/{}", self.organization, self.user_name().to_lowercase())),
            updated_at: self.profile.updated_at.unwrap_or(self.created_at),
            ..principal_columns!(self, self.organization, self.email.clone())
        }
    }
}

impl Document for Group {
    const KIND: Kind = Kind::Group;

    fn columns(&self) -> Row {
        Row { updated_at: self.updated_at, ..principal_columns!(self, self.organization, self.name.clone()) }
    }
}

impl Document for ApiKey {
    const KIND: Kind = Kind::ApiKey;

    fn columns(&self) -> Row {
        Row {
            parent: self.service_account.to_string(),
            ..row(Self::KIND, self.id.clone(), self.organization, String::new(), self.created_at)
        }
    }
}

impl Document for Folder {
    const KIND: Kind = Kind::Folder;

    fn columns(&self) -> Row {
        let parent = self.parent.map(|id| id.to_string()).unwrap_or_default();
        Row {
            unique_key: Some(format!("{}/{parent}/{}", self.organization, self.name)),
            parent,
            updated_at: self.updated_at,
            ..row(Self::KIND, self.id.to_string(), self.organization, self.name.clone(), self.created_at)
        }
    }
}

/// Due when the session expires, so that it is removed.
impl Document for Session {
    const KIND: Kind = Kind::Session;

    fn columns(&self) -> Row {
        Row {
            parent: self.person.to_string(),
            due_at: Some(self.expires_at),
            ..row(Self::KIND, self.id.clone(), self.organization, String::new(), self.created_at)
        }
    }
}

/// Due when the invitation expires, so that it is removed.
impl Document for Invitation {
    const KIND: Kind = Kind::Invitation;

    fn columns(&self) -> Row {
        Row {
            parent: self.person.to_string(),
            due_at: Some(self.expires_at),
            ..row(Self::KIND, self.id.clone(), self.organization, self.email.clone(), self.created_at)
        }
    }
}

impl Document for JwtIssuer {
    const KIND: Kind = Kind::JwtIssuer;

    fn columns(&self) -> Row {
        Row {
            unique_key: Some(format!("{}/{} {}", self.organization, self.issuer_url, self.audience)),
            ..row(Self::KIND, self.id.clone(), self.organization, self.issuer_url.clone(), self.created_at)
        }
    }
}

impl Document for Cluster {
    const KIND: Kind = Kind::Cluster;

    /// Names and routing IDs are available again after a cluster is deleted. A cluster is due until the
    /// reconciler has reached its desired state.
    fn columns(&self) -> Row {
        let active = self.is_active();
        let settled = match self.state {
            ClusterState::Created => {
                let is_applied = self.observed.generation == self.generation;
                is_applied && self.restore.is_none() && !self.is_changing_nodes()
            }
            ClusterState::Deleted => self.removed,
            ClusterState::CreationFailed => self.removed,
            ClusterState::Creating | ClusterState::Locked => false,
        };
        Row {
            parent: self.parent.map(|id| id.to_string()).unwrap_or_default(),
            unique_key: active.then(|| format!("{}/{}", self.organization, self.name)),
            alias: active.then(|| self.routing_id()),
            due_at: (!settled).then_some(self.updated_at),
            updated_at: self.updated_at,
            ended_at: if active { None } else { Some(self.deleted_at.unwrap_or(self.updated_at)) },
            ..row(Self::KIND, self.id.to_string(), self.organization, self.name.clone(), self.created_at)
        }
    }
}

impl Document for AllowlistEntry {
    const KIND: Kind = Kind::AllowlistEntry;

    fn columns(&self) -> Row {
        Row {
            parent: self.cluster.to_string(),
            ..row(
                Self::KIND,
                Self::row_id(self.cluster, self.network),
                self.organization,
                self.sort_key(),
                self.created_at,
            )
        }
    }
}

impl Document for BlackoutWindow {
    const KIND: Kind = Kind::BlackoutWindow;

    fn columns(&self) -> Row {
        Row {
            parent: self.cluster.to_string(),
            ..row(Self::KIND, self.id.clone(), self.organization, self.sort_key(), self.created_at)
        }
    }
}

impl Document for Base {
    const KIND: Kind = Kind::BackupBase;

    fn columns(&self) -> Row {
        let sort_key = time_key(self.created_at);
        Row {
            parent: self.cluster.to_string(),
            ..row(Self::KIND, self.id.clone(), self.organization, sort_key, self.created_at)
        }
    }
}

/// Due when the last backup expires, so that it is removed.
impl Document for RecoveryPoint {
    const KIND: Kind = Kind::RecoveryPoint;

    fn columns(&self) -> Row {
        let sort_key = time_key(self.as_of_time);
        Row {
            parent: self.cluster.to_string(),
            due_at: Some(self.expires_at()),
            updated_at: self.unchanged_until,
            ..row(Self::KIND, self.id.to_string(), self.organization, sort_key, self.as_of_time)
        }
    }
}

impl Document for Restore {
    const KIND: Kind = Kind::Restore;

    fn columns(&self) -> Row {
        let sort_key = time_key(self.created_at);
        Row {
            parent: self.destination.to_string(),
            updated_at: self.completed_at.unwrap_or(self.created_at),
            ..row(Self::KIND, self.id.clone(), self.organization, sort_key, self.created_at)
        }
    }
}

impl Document for Meter {
    const KIND: Kind = Kind::Meter;

    fn columns(&self) -> Row {
        let id = self.cluster.to_string();
        let row = row(Self::KIND, id.clone(), self.organization, String::new(), self.measured_at);
        Row { parent: id, ..row }
    }
}

/// The row with the usage of a month or an hour.
pub fn period(kind: Kind, usage: &PeriodUsage) -> Result<Row> {
    let id = format!("{}/{}", usage.cluster, usage.period);
    let document = serde_json::to_string(usage)
        .map_err(|error| Error::internal(format!("could not encode usage {id}")).because(error))?;
    let row = row(kind, id, usage.organization, usage.period.clone(), usage.created_at);
    Ok(Row { parent: usage.cluster.to_string(), document, ..row })
}

/// The usage in the row of a month or an hour.
pub fn read_period(row: &Row) -> Result<PeriodUsage> {
    serde_json::from_str(&row.document)
        .map_err(|error| Error::internal(format!("usage {}: damaged document", row.id)).because(error))
}

#[cfg(test)]
mod tests {
    use super::time_key;
    use ootheca_model::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn time_keys_are_ordered_like_times(one in 0..=i64::MAX, other in 0..=i64::MAX) {
            let keys = [one, other].map(|time| time_key(Timestamp(time)));
            prop_assert_eq!(keys[0].cmp(&keys[1]), one.cmp(&other));
        }
    }
}
