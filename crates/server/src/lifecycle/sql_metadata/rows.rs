//! The rows of the cached SQL metadata: for each cluster a header, and buckets with the users and databases
//! whose names have the same hash, so that a change of one of them does not write all of them again.
//!
//! Every change of a bucket is in one batch with a change of the header. So the revision of the header guards
//! all buckets.

use crate::{
    context::Context,
    documents::{self, Document, Stored},
};
use ootheca_model::{
    Cluster, ClusterId, OrganizationId, Result, Timestamp,
    login::{Login, Secret},
};
use ootheca_store::{Kind, Mutation, Query, Row, Store};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// The maximum number of clusters whose metadata is in memory.
const REMEMBERED: usize = 1000;

/// The SQL metadata of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlMetadata {
    /// The organization.
    pub organization: OrganizationId,
    /// The cluster.
    pub cluster: ClusterId,
    /// SQL users, sorted byte by byte by name.
    pub logins: Vec<Login>,
    /// Databases, sorted byte by byte by name.
    pub databases: Vec<DatabaseMetadata>,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseMetadata {
    /// Name.
    pub name: String,
    /// The number of tables, when they were last counted.
    pub tables: Option<i64>,
}

impl SqlMetadata {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let (organization, cluster) = (cluster.organization, cluster.id);
        Self { organization, cluster, logins: Vec::new(), databases: Vec::new() }
    }
}

/// The header of a cluster's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    organization: OrganizationId,
    cluster: ClusterId,
    /// The iterations of the first SCRAM verifier; `None` if no user has one.
    iterations: Option<u32>,
    /// All users, as earlier versions wrote them; empty after the next change.
    logins: Vec<Login>,
    /// The same for databases.
    databases: Vec<DatabaseMetadata>,
    /// When a difference was last found.
    taken_at: Timestamp,
}

impl Document for Header {
    const KIND: Kind = Kind::SqlCatalog;

    fn columns(&self) -> Row {
        let id = self.cluster.to_string();
        Row {
            parent: id.clone(),
            ..documents::row(Self::KIND, id, self.organization, String::new(), self.taken_at)
        }
    }
}

impl Header {
    /// Whether an earlier version wrote it, with all users and databases. Then there are no current buckets.
    fn is_whole(&self) -> bool {
        !self.logins.is_empty() || !self.databases.is_empty()
    }
}

/// The users and databases whose names have the same hash. There is no row for an empty bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bucket {
    organization: OrganizationId,
    cluster: ClusterId,
    /// The hash.
    number: u8,
    logins: Vec<Login>,
    databases: Vec<DatabaseMetadata>,
    /// When a difference was last found.
    taken_at: Timestamp,
}

impl Document for Bucket {
    const KIND: Kind = Kind::SqlCatalogBucket;

    fn columns(&self) -> Row {
        let id = Self::id(self.cluster, self.number);
        Row {
            parent: self.cluster.to_string(),
            ..documents::row(Self::KIND, id, self.organization, String::new(), self.taken_at)
        }
    }
}

impl Bucket {
    fn id(cluster: ClusterId, number: u8) -> String {
        format!("{cluster}/{number:02x}")
    }
}

/// The number of the bucket that contains a user or a database. Never changes, because rows depend on it.
fn number(name: &str) -> u8 {
    Sha256::digest(name)[0]
}

/// What is in a bucket.
type Contents<'a> = (Vec<&'a Login>, Vec<&'a DatabaseMetadata>);

fn buckets(metadata: &SqlMetadata) -> BTreeMap<u8, Contents<'_>> {
    let mut buckets: BTreeMap<u8, Contents<'_>> = BTreeMap::new();
    for login in &metadata.logins {
        buckets.entry(number(&login.name)).or_default().0.push(login);
    }
    for database in &metadata.databases {
        buckets.entry(number(&database.name)).or_default().1.push(database);
    }
    buckets
}

/// The cached metadata of a cluster.
#[derive(Debug, PartialEq)]
pub struct CachedMetadata {
    /// The metadata.
    pub value: SqlMetadata,
    /// The row of the header, without its document.
    header: Row,
    /// Whether the header contains everything.
    whole: bool,
    /// The rows of the buckets by ID, without their documents.
    buckets: BTreeMap<String, Row>,
}

impl CachedMetadata {
    fn new(header: Stored<Header>, buckets: Vec<Stored<Bucket>>) -> Self {
        let whole = header.value.is_whole();
        let Header { organization, cluster, mut logins, mut databases, .. } = header.value;
        let mut rows = BTreeMap::new();
        for bucket in buckets {
            logins.extend(bucket.value.logins);
            databases.extend(bucket.value.databases);
            rows.insert(bucket.row.id.clone(), without_document(bucket.row));
        }
        logins.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        databases.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let value = SqlMetadata { organization, cluster, logins, databases };
        Self { value, header: without_document(header.row), whole, buckets: rows }
    }

    /// What is cached once the `changes` from `before` to `value` are committed; `None` if they do not write
    /// the header.
    pub(super) fn after(before: Option<&Self>, value: SqlMetadata, changes: &[Mutation]) -> Option<Self> {
        let kept = before.filter(|before| !before.whole);
        let mut buckets = kept.map(|before| before.buckets.clone()).unwrap_or_default();
        let mut header = None;
        for change in changes {
            match change {
                Mutation::Insert(row) | Mutation::Update(row) => {
                    let row = Row { revision: row.revision + 1, ..without_document(row.clone()) };
                    match row.kind {
                        Header::KIND => header = Some(row),
                        _ => drop(buckets.insert(row.id.clone(), row)),
                    }
                }
                Mutation::Delete { id, .. } => drop(buckets.remove(id)),
                _ => {}
            }
        }
        header.map(|header| Self { value, header, whole: false, buckets })
    }
}

fn without_document(row: Row) -> Row {
    Row { document: String::new(), ..row }
}

/// The cached metadata of clusters, by the revision of the header. In memory only.
pub struct MetadataCache(quick_cache::sync::Cache<ClusterId, Arc<CachedMetadata>>);

impl Default for MetadataCache {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(REMEMBERED))
    }
}

impl MetadataCache {
    /// All cached metadata of a cluster.
    pub(super) async fn find(
        &self,
        context: &Context,
        cluster: ClusterId,
    ) -> Result<Option<Arc<CachedMetadata>>> {
        let Some(header) = context.find::<Header>(&cluster.to_string()).await? else {
            self.0.remove(&cluster);
            return Ok(None);
        };
        let known = self.0.get(&cluster).filter(|known| known.header.revision == header.row.revision);
        if known.is_some() {
            return Ok(known);
        }
        let found = Arc::new(read(&*context.store, Stored::clone(&header)).await?);
        self.0.insert(cluster, found.clone());
        Ok(Some(found))
    }

    /// Keeps metadata that was committed.
    pub(super) fn insert(&self, metadata: CachedMetadata) {
        self.0.insert(metadata.value.cluster, Arc::new(metadata));
    }
}

/// Reads the buckets of a header. They can be newer than the header; then a change that is based on them is
/// stale.
async fn read(store: &dyn Store, header: Stored<Header>) -> Result<CachedMetadata> {
    if header.value.is_whole() {
        return Ok(CachedMetadata::new(header, Vec::new()));
    }
    let query = Query { parent: Some(header.row.id.clone()), ..Query::all(Bucket::KIND) };
    let buckets = store.list(&query).await?.into_iter().map(documents::decode::<Bucket>);
    Ok(CachedMetadata::new(header, buckets.collect::<Result<Vec<_>>>()?))
}

/// The cached verifier of a user's password: `None` if the cluster has no metadata, and `Some(None)` if it has
/// no such user. Reads one bucket.
pub(super) async fn secret(
    context: &Context,
    cluster: ClusterId,
    user: &str,
) -> Result<Option<Option<Secret>>> {
    let Some(header) = context.find::<Header>(&cluster.to_string()).await? else { return Ok(None) };
    if header.value.is_whole() {
        return Ok(Some(secret_of(&header.value.logins, user)));
    }
    let id = Bucket::id(cluster, number(user));
    let bucket = context.cache.find_or_none::<Bucket>(&*context.store, &id).await?;
    Ok(Some(bucket.and_then(|bucket| secret_of(&bucket.value.logins, user))))
}

fn secret_of(logins: &[Login], user: &str) -> Option<Secret> {
    let found = logins.binary_search_by(|login| login.name.as_str().cmp(user)).ok()?;
    logins.get(found).map(|login| login.secret.clone())
}

/// The iterations of the first cached SCRAM verifier of a cluster.
pub(super) async fn iterations(context: &Context, cluster: ClusterId) -> Result<Option<u32>> {
    let header = context.find::<Header>(&cluster.to_string()).await?;
    Ok(header.and_then(|header| header.value.iterations.or_else(|| first_iterations(&header.value.logins))))
}

fn first_iterations(logins: &[Login]) -> Option<u32> {
    logins.iter().find_map(|login| login.secret.iterations())
}

/// The changes that make `after` the cached metadata of its cluster; none if it already is.
pub(super) fn changes(
    before: Option<&CachedMetadata>,
    after: &SqlMetadata,
    now: Timestamp,
) -> Result<Vec<Mutation>> {
    if before.is_some_and(|before| before.value == *after) {
        return Ok(Vec::new());
    }
    let (organization, cluster) = (after.organization, after.cluster);
    let header = Header {
        organization,
        cluster,
        iterations: first_iterations(&after.logins),
        logins: Vec::new(),
        databases: Vec::new(),
        taken_at: now,
    };
    let mut changes = vec![match before {
        Some(before) => documents::update(&before.header, &header)?,
        None => documents::insert(&header)?,
    }];
    let whole = before.is_some_and(|before| before.whole);
    if whole {
        // They can exist if a server of an earlier version uses the same store.
        changes.push(Mutation::DeleteChildren { kind: Bucket::KIND, parent: cluster.to_string() });
    }
    let stored = before.filter(|_| !whole).map(|before| buckets(&before.value)).unwrap_or_default();
    let wanted = buckets(after);
    for number in 0..=u8::MAX {
        let contents = wanted.get(&number);
        if contents == stored.get(&number) {
            continue;
        }
        let row = before.and_then(|before| before.buckets.get(&Bucket::id(cluster, number)));
        let bucket = contents.map(|(logins, databases)| Bucket {
            organization,
            cluster,
            number,
            logins: logins.iter().copied().cloned().collect(),
            databases: databases.iter().copied().cloned().collect(),
            taken_at: now,
        });
        match (row, bucket) {
            (Some(row), Some(bucket)) => changes.push(documents::update(row, &bucket)?),
            (Some(row), None) => changes.push(documents::delete(row)),
            (None, Some(bucket)) => changes.push(documents::insert(&bucket)?),
            (None, None) => {}
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
