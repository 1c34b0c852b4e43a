//! Tests of the SQL statements.

use crate::subject::Subject;
use ootheca_model::ErrorKind;
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use tokio_postgres::NoTls;

/// SQLite and PostgreSQL could number parameters differently, so their positions are checked too.
pub(crate) async fn every_statement_can_be_prepared(subject: &Subject) {
    let (sqlite, postgres) = ootheca_store::statements();
    if let Some(path) = subject.url.strip_prefix("sqlite:") {
        let connection = Connection::open(path).unwrap();
        for sql in sqlite {
            connection.prepare(&sql.replace('$', "?")).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        return;
    }
    let (client, connection) = tokio_postgres::connect(&subject.url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    for sql in postgres {
        let statement = client.prepare(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let highest = (1..20).rev().find(|number| sql.contains(&format!("${number}"))).unwrap_or(0);
        assert_eq!(statement.params().len(), highest, "{sql}");
    }
    drop(client);
    connection.await.unwrap().unwrap();
}

pub(crate) async fn newer_schemas_are_rejected(subject: &Subject) {
    subject.run("INSERT INTO migrations (version) VALUES (1000)").await;
    let error = ootheca_store::open(&subject.url).await.err().expect("the store must be rejected");
    assert_eq!(error.kind(), ErrorKind::Precondition);
    assert!(error.message().contains("1000"), "{error}");
}

#[tokio::test]
async fn lists_scan_an_index_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(ootheca_store::open(&format!("sqlite:{}", path.display())).await.unwrap());
    let connection = Connection::open(path).unwrap();
    let lists = ootheca_store::statements().0.into_iter().filter(|sql| sql.contains("ORDER BY"));
    // Lists of one organization without further filters, which may be long.
    for sql in lists.filter(|sql| sql.contains("AND organization =") && !sql.contains("parent =")) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.replace('$', "?"))).unwrap();
        let count = plan.parameter_count();
        let nothing = rusqlite::params_from_iter(vec![None::<i64>; count]);
        let steps = plan.query_map(nothing, |row| row.get::<_, String>(3)).unwrap();
        let steps = steps.collect::<Result<Vec<_>, _>>().unwrap().join("\n");
        assert!(steps.contains("USING INDEX"), "{sql}\n{steps}");
        assert!(sql.contains("json_each") || !steps.contains("TEMP B-TREE"), "{sql}\n{steps}");
    }
}

#[tokio::test]
async fn the_file_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = ootheca_store::open(&format!("sqlite:{}", path.display())).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
    drop(store);
}

#[tokio::test]
async fn errors_of_invalid_addresses_do_not_repeat_them() {
    let bad = [
        "mysql://user:secret@host/db",
        "store.db",
        "postgres://user:secret@host/db?sslmode=require",
        "postgres://user:secret@host/db?nonsense=secret",
    ];
    for url in bad {
        let error = ootheca_store::open(url).await.err().expect("the store must be rejected");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
        assert!(!error.chain().contains("secret"), "{}", error.chain());
    }
}

#[test]
fn the_schema_matches_the_reviewed_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../expected/schema.sql");
    let schema = ootheca_store::schema();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(schema == expected, "expected/schema.sql differs; UPDATE_EXPECTED=1 rewrites it");
}
