//! Copies of a SQLite store.

use crate::subject::{Subject, cluster, entry, organization};
use ootheca_model::Timestamp;
use ootheca_store::{AuditQuery, Batch, Kind, Mutation, Query, Row, copy};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};
use tempfile::TempDir;

/// A row that is only in the copy.
fn added() -> Row {
    Row { kind: Kind::Setting, ..cluster(organization(), "added") }
}

/// The paths of a store, and of a copy that was interrupted.
fn paths(folder: &TempDir) -> (String, PathBuf) {
    let to = folder.path().join("copy.db");
    fs::write(&to, "an incomplete copy").unwrap();
    (format!("sqlite:{}", folder.path().join("store.db").display()), to)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_contain_everything_and_the_added_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (url, to) = paths(&folder);
    let subject = Subject::sqlite(&folder.path().join("store.db")).await;
    let (organization, added) = (organization(), added());
    let rows = ["one", "other"].map(|name| cluster(organization, name));
    for row in &rows {
        let batch = Batch::server("test").with(Mutation::Insert(row.clone()));
        let batch = Batch { audit: vec![entry(organization)], ..batch };
        subject.store.commit(batch, Timestamp(7)).await.unwrap();
    }
    copy(&url, &to, vec![added.clone()]).await.unwrap();
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    // What is written later is not in the copy.
    subject.insert(&cluster(organization, "third")).await;
    let copied = Subject::sqlite(&to).await;
    let names = |rows: Vec<Row>| rows.into_iter().map(|row| row.sort_key).collect::<Vec<_>>();
    assert_eq!(names(copied.store.list(&Query::all(Kind::Cluster)).await.unwrap()), ["one", "other"]);
    assert_eq!(copied.get(&added).await, Some(Row { revision: 1, ..added.clone() }));
    assert_eq!(subject.get(&added).await, None);
    let log = AuditQuery { organization, starting_from: None, descending: false, limit: 10 };
    assert_eq!(copied.store.audit(&log).await.unwrap(), subject.store.audit(&log).await.unwrap());
    assert!(ootheca_store::verify_audit(&copied.url, &[]).await.unwrap().is_whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_store_in_postgres_contains_the_added_rows_only() {
    let folder = tempfile::tempdir().unwrap();
    let (_, to) = paths(&folder);
    let added = added();
    copy("postgres://nobody@nowhere/nothing", &to, vec![added.clone()]).await.unwrap();
    let copied = Subject::sqlite(&to).await;
    assert_eq!(copied.get(&added).await, Some(Row { revision: 1, ..added }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_store_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (url, to) = paths(&folder);
    assert!(copy(&url, &to, Vec::new()).await.is_err());
    assert!(!folder.path().join("store.db").exists());
}
