//! The subject of the cases, and the rows that they write.

use crate::server::{self, Server};
use ootheca_model::{
    Error, Granted, OrganizationId, Principal, PrincipalId, Timestamp,
    audit::AuditEntry,
    identity::{Requirement, Target, authorize},
};
use ootheca_store::{Batch, Kind, Mutation, Row, Store};
use std::{path::Path, sync::Arc};
use uuid::Uuid;

/// An open store, and direct access to its database.
pub(crate) struct Subject {
    pub(crate) url: String,
    pub(crate) store: Arc<dyn Store>,
}

impl Subject {
    pub(crate) async fn sqlite(path: &Path) -> Self {
        Self::open(format!("sqlite:{}", path.display())).await
    }

    pub(crate) async fn postgres(server: &Server, database: &str) -> Self {
        Self::open(server.database(database).await).await
    }

    async fn open(url: String) -> Self {
        let store = ootheca_store::open(&url).await.unwrap_or_else(|error| panic!("{}", error.chain()));
        Self { url, store }
    }

    /// Changes the database without the store.
    pub(crate) async fn run(&self, sql: &str) {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap(),
            None => server::run(&self.url, sql).await.unwrap(),
        }
    }

    pub(crate) async fn apply(&self, change: Mutation) -> Result<(), Error> {
        self.store.commit(Batch::server("test").with(change), Timestamp(1)).await.map(|_| ())
    }

    pub(crate) async fn insert(&self, row: &Row) {
        self.apply(Mutation::Insert(row.clone())).await.unwrap();
    }

    pub(crate) async fn get(&self, row: &Row) -> Option<Row> {
        self.store.get(row.kind, &row.id).await.unwrap()
    }

    /// The current version of a row, which must exist.
    pub(crate) async fn fresh(&self, row: &Row) -> Row {
        self.get(row).await.expect("the row must exist")
    }
}

pub(crate) fn organization() -> OrganizationId {
    OrganizationId(Uuid::new_v4())
}

/// A caller of `organization`.
pub(crate) fn caller(organization: OrganizationId) -> Granted {
    let id = PrincipalId(Uuid::new_v4());
    let principal = Principal { organization, id, name: "test".into(), person: false, grants: Vec::new() };
    authorize(&Arc::new(principal), Requirement::Member, Target::Organization).unwrap()
}

pub(crate) fn cluster(organization: OrganizationId, name: &str) -> Row {
    Row {
        kind: Kind::Cluster,
        id: Uuid::new_v4().to_string(),
        organization,
        parent: String::new(),
        unique_key: None,
        alias: None,
        sort_key: name.to_owned(),
        due_at: None,
        revision: 0,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
        ended_at: None,
        document: format!("{{\"name\":\"{name}\"}}"),
    }
}

pub(crate) fn entry(organization: OrganizationId) -> AuditEntry {
    AuditEntry {
        id: Uuid::new_v4(),
        organization,
        created_at: Timestamp(0),
        action: "CREATE_CLUSTER".into(),
        source: "CC_API".into(),
        cluster: None,
        cluster_name: Some("größe".into()),
        user_email: None,
        service_account_name: Some("test".into()),
        session_id: None,
        ip_address: Some("127.0.0.1".into()),
        trace_id: "trace".into(),
        payload: "{}".into(),
        error: None,
    }
}
