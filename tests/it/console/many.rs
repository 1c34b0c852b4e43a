//! Creates thousands of clusters: one through the API, and the others as copies of it in the store and the engine.

use crate::support::id;
use ootheca_testkit::Ootheca;
use rusqlite::Connection;
use std::fs;

const COPY: &str = "
    WITH RECURSIVE
        source AS (SELECT *, document ->> 'name' AS name FROM entries WHERE kind = 'cluster'),
        numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1),
        copies AS (
            SELECT source.*, substr(id, 1, 24) || printf('%012d', n) AS copy, printf('copy-%05d', n) AS new
            FROM source, numbers)
    INSERT INTO entries
        (kind, id, organization, parent, unique_key, alias, sort_key, due_at, revision, created_at, updated_at,
         ended_at, document)
    SELECT kind, copy, organization, parent, replace(unique_key, name, new), replace(alias, name, new),
        replace(sort_key, name, new), due_at, revision, created_at, updated_at, ended_at,
        replace(replace(replace(document, id, copy), alias, replace(alias, name, new)), name, new)
    FROM copies";

/// Creates `count` clusters and restarts the server. The first is `many-00000`; the others are `copy-00001` and so on.
pub(super) fn create_clusters(server: &mut Ootheca, count: u32) {
    let first = id(&server.create_cluster("many-00000", "BASIC"));
    server.terminate();
    let store = Connection::open(server.data_dir().join("store.db")).expect("the store opens");
    store.execute(COPY, [count - 1]).expect("copies");
    let engine = server.data_dir().join("simulated");
    let state = fs::read_to_string(engine.join(&first).with_extension("json")).expect("its state");
    for n in 1..count {
        let copy = format!("{}{n:012}", &first[..24]);
        fs::write(engine.join(&copy).with_extension("json"), state.replace(&first, &copy)).expect("a copy");
    }
    server.start();
}
