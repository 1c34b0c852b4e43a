//! Every SQL statement, with the same text for both databases. Parameters are `$1`, `$2`, …, which are
//! translated to `?1`, `?2`, … for SQLite.

use crate::{Kind, Order, Position, Query, backend::Backend, value::Value};
use ootheca_model::{Error, OrganizationId, Result, Timestamp};
use uuid::Uuid;

/// The columns of a row, in order.
macro_rules! columns {
    () => {
        "kind, id, organization, parent, unique_key, alias, sort_key, due_at, revision, created_at, updated_at, ended_at, document"
    };
}

pub(crate) const GET: &str = concat!("SELECT ", columns!(), " FROM entries WHERE kind = $1 AND id = $2");
pub(crate) const BY_UNIQUE_KEY: &str =
    concat!("SELECT ", columns!(), " FROM entries WHERE kind = $1 AND unique_key = $2");
pub(crate) const BY_ALIAS: &str =
    concat!("SELECT ", columns!(), " FROM entries WHERE kind = $1 AND alias = $2");
pub(crate) const ORGANIZATION: &str = "SELECT organization FROM entries WHERE kind = $1 AND id = $2";
pub(crate) const BEFORE: &str = "SELECT ended_at, document FROM entries WHERE kind = $1 AND id = $2";
pub(crate) const INSERT: &str = concat!(
    "INSERT INTO entries (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
);
pub(crate) const UPDATE: &str = "UPDATE entries SET organization = $3, parent = $4, unique_key = $5, alias = $6, sort_key = $7, \
     due_at = $8, revision = revision + 1, created_at = $10, updated_at = $11, ended_at = $12, document = $13 \
     WHERE kind = $1 AND id = $2 AND revision = $9";
pub(crate) const DELETE: &str = "DELETE FROM entries WHERE kind = $1 AND id = $2 AND revision = $3 RETURNING parent, organization, ended_at";
pub(crate) const DELETE_CHILDREN: &str =
    "DELETE FROM entries WHERE kind = $1 AND parent = $2 RETURNING id, organization, ended_at";
pub(crate) const TOUCH: &str =
    "UPDATE entries SET revision = revision + 1 WHERE kind = $1 AND id = $2 AND revision = $3";
pub(crate) const REVISIONS: &str = "SELECT id, revision FROM entries WHERE kind = $1 AND ended_at IS NULL";
pub(crate) const DUE: &str = "SELECT id FROM entries WHERE kind = $1 AND due_at IS NOT NULL AND due_at <= $2 ORDER BY due_at, id LIMIT $3";
pub(crate) const NEXT_DUE: &str = "SELECT MIN(due_at) FROM entries WHERE kind = $1 AND due_at IS NOT NULL";

/// The columns of an audit entry and its outcome. The outcome is a subquery, so that a page scans its index.
macro_rules! entry {
    () => {
        "SELECT document, created_at, \
         (SELECT audit_outcomes.document FROM audit_outcomes WHERE audit_outcomes.id = audit.id) FROM audit"
    };
}

pub(crate) const AUDIT_HEAD: &str =
    "SELECT sequence, hash, created_at FROM audit_heads WHERE organization = $1";
pub(crate) const AUDIT_HEAD_INSERT: &str =
    "INSERT INTO audit_heads (organization, sequence, hash, created_at) VALUES ($1, $2, $3, $4)";
pub(crate) const AUDIT_HEAD_UPDATE: &str =
    "UPDATE audit_heads SET sequence = $2, hash = $3, created_at = $4 WHERE organization = $1";
pub(crate) const AUDIT_OLDER: &str =
    "SELECT COUNT(*), MAX(created_at) FROM audit WHERE organization = $1 AND sequence IS NULL";
pub(crate) const AUDIT_INSERT: &str = "INSERT INTO audit (id, organization, created_at, document, sequence, hash) VALUES ($1, $2, $3, $4, $5, $6)";
pub(crate) const OUTCOME_INSERT: &str =
    "INSERT INTO audit_outcomes (id, organization, sequence, document, hash) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const AUDIT_OWNER: &str = "SELECT organization FROM audit WHERE id = $1";
pub(crate) const AUDIT_GET: &str = concat!(entry!(), " WHERE id = $1");
pub(crate) const AUDIT_UP: &str =
    concat!(entry!(), " WHERE organization = $1 AND created_at >= $2 ORDER BY created_at, id LIMIT $3");
pub(crate) const AUDIT_DOWN: &str = concat!(
    entry!(),
    " WHERE organization = $1 AND created_at <= $2 ORDER BY created_at DESC, id DESC LIMIT $3"
);
pub(crate) const AUDIT_AT: &str =
    concat!(entry!(), " WHERE organization = $1 AND created_at = $2 ORDER BY id");
pub(crate) const AUDIT_ORGANIZATIONS: &str =
    "SELECT organization FROM audit UNION SELECT organization FROM audit_heads ORDER BY organization";
pub(crate) const AUDIT_NEWEST: &str = "SELECT (SELECT MAX(sequence) FROM audit WHERE organization = $1), \
     (SELECT MAX(sequence) FROM audit_outcomes WHERE organization = $1)";
pub(crate) const AUDIT_LINKS: &str = "SELECT sequence, id, created_at, document, hash FROM audit \
     WHERE organization = $1 AND sequence >= $2 AND sequence <= $3 ORDER BY sequence";
pub(crate) const OUTCOME_LINKS: &str = "SELECT sequence, id, CAST(0 AS BIGINT), document, hash FROM audit_outcomes \
     WHERE organization = $1 AND sequence >= $2 AND sequence <= $3 ORDER BY sequence";

pub(crate) const EVENT_HEAD: &str = "SELECT sequence, at FROM event_heads WHERE organization = $1";
pub(crate) const EVENT_HEAD_INSERT: &str =
    "INSERT INTO event_heads (organization, sequence, at) VALUES ($1, $2, $3)";
pub(crate) const EVENT_HEAD_UPDATE: &str =
    "UPDATE event_heads SET sequence = $2, at = $3 WHERE organization = $1";
pub(crate) const EVENT_INSERT: &str =
    "INSERT INTO events (organization, sequence, at, document) VALUES ($1, $2, $3, $4)";
pub(crate) const EVENTS: &str =
    "SELECT document FROM events WHERE organization = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
pub(crate) const EVENT_RANGE: &str = "SELECT (SELECT MIN(sequence) FROM events WHERE organization = $1), \
     (SELECT sequence FROM event_heads WHERE organization = $1)";
pub(crate) const EVENTS_FORGET: &str = "DELETE FROM events WHERE at < $1";

pub(crate) const SAMPLES_KEEP: &str = "INSERT INTO samples (cluster, step, starts_at, document) \
     SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS TEXT) \
     WHERE EXISTS (SELECT 1 FROM entries WHERE kind = 'cluster' AND id = $1 AND ended_at IS NULL) \
     ON CONFLICT (cluster, step, starts_at) DO UPDATE SET document = excluded.document";
pub(crate) const SAMPLES_OF_CLUSTER_FORGET: &str = "DELETE FROM samples WHERE cluster = $1";
pub(crate) const SAMPLES_FORGET: &str = "DELETE FROM samples WHERE step = $1 AND starts_at < $2";

pub(crate) const LEASE_GET: &str = "SELECT holder, fence, expires_at FROM leases WHERE name = $1";
pub(crate) const LEASE_INSERT: &str =
    "INSERT INTO leases (name, holder, fence, expires_at) VALUES ($1, $2, $3, $4)";
pub(crate) const LEASE_UPDATE: &str =
    "UPDATE leases SET holder = $2, fence = $3, expires_at = $4 WHERE name = $1";
pub(crate) const LEASE_RELEASE: &str =
    "UPDATE leases SET holder = '', expires_at = 0 WHERE name = $1 AND holder = $2 AND fence = $3";

/// All statements that do not depend on a query.
const ALL: &[&str] = &[
    GET,
    BY_UNIQUE_KEY,
    BY_ALIAS,
    ORGANIZATION,
    BEFORE,
    INSERT,
    UPDATE,
    DELETE,
    DELETE_CHILDREN,
    TOUCH,
    REVISIONS,
    DUE,
    NEXT_DUE,
    AUDIT_HEAD,
    AUDIT_HEAD_INSERT,
    AUDIT_HEAD_UPDATE,
    AUDIT_OLDER,
    AUDIT_INSERT,
    OUTCOME_INSERT,
    AUDIT_OWNER,
    AUDIT_GET,
    AUDIT_UP,
    AUDIT_DOWN,
    AUDIT_AT,
    AUDIT_ORGANIZATIONS,
    AUDIT_NEWEST,
    AUDIT_LINKS,
    OUTCOME_LINKS,
    EVENT_HEAD,
    EVENT_HEAD_INSERT,
    EVENT_HEAD_UPDATE,
    EVENT_INSERT,
    EVENTS,
    EVENT_RANGE,
    EVENTS_FORGET,
    SAMPLES_KEEP,
    SAMPLES_OF_CLUSTER_FORGET,
    SAMPLES_FORGET,
    LEASE_GET,
    LEASE_INSERT,
    LEASE_UPDATE,
    LEASE_RELEASE,
];

/// Returns the statement of a list, and its parameters. Its text depends on the shape of the query, never on
/// values.
pub(crate) fn list<B: Backend>(query: &Query) -> Result<(String, Vec<Value>)> {
    let mut params: Vec<Value> = vec![query.kind.into()];
    let mut parameter = |value: Value| {
        params.push(value);
        format!("${}", params.len())
    };
    let mut conditions = vec!["kind = $1".to_owned()];
    if let Some(organization) = query.organization {
        conditions.push(format!("organization = {}", parameter(organization.into())));
    }
    if let Some(parent) = &query.parent {
        conditions.push(format!("parent = {}", parameter(parent.as_str().into())));
    }
    if query.active_only {
        conditions.push("ended_at IS NULL".to_owned());
    }
    if let Some(as_of) = query.as_of {
        // If the list has another order, the index for that order is better than the one on this column.
        let column = if query.order == Order::CreatedAt { "created_at" } else { "created_at + 0" };
        conditions.push(format!("{column} <= {}", parameter(as_of.into())));
    }
    if let Some(ids) = &query.ids {
        // One parameter for any number of IDs, so that there are few statements to prepare.
        let mut one_of = |column: &str, ids: &[String]| -> Result<String> {
            let set = serde_json::to_string(ids);
            let set = set.map_err(|error| Error::internal("store: ids").because(error))?;
            Ok(format!("{column} {}", B::ONE_OF.replace('?', &parameter(set.into()))))
        };
        let mut condition = one_of("id", ids)?;
        if !query.parents.is_empty() {
            condition = format!("({condition} OR {})", one_of("parent", &query.parents)?);
        }
        conditions.push(condition);
    }
    let column = match query.order {
        Order::SortKey => "sort_key",
        Order::CreatedAt => "created_at",
        Order::EndedAt => "COALESCE(ended_at, created_at)",
    };
    if let Some(after) = &query.after {
        let value = match query.order {
            Order::SortKey => Value::from(after.value.as_str()),
            Order::CreatedAt | Order::EndedAt => {
                let micros = after.value.parse::<i64>();
                micros.map_err(|_| Error::invalid("page", "is not a page of this list"))?.into()
            }
        };
        let sign = if query.descending { "<" } else { ">" };
        let (value, id) = (parameter(value), parameter(after.id.as_str().into()));
        conditions.push(format!("({column}, id) {sign} ({value}, {id})"));
    }
    let direction = if query.descending { "DESC" } else { "ASC" };
    let limit = parameter(query.limit.into());
    let conditions = conditions.join(" AND ");
    let columns = columns!();
    let sql = format!(
        "SELECT {columns} FROM entries WHERE {conditions} ORDER BY {column} {direction}, id {direction} LIMIT {limit}"
    );
    Ok((sql, params))
}

/// The statement that reads samples of some clusters. Their IDs are its first parameter.
pub(crate) fn samples<B: Backend>() -> String {
    let one_of = B::ONE_OF.replace('?', "$1");
    format!(
        "SELECT cluster, step, starts_at, document FROM samples WHERE cluster {one_of} \
         AND step = $2 AND starts_at >= $3 AND starts_at < $4 ORDER BY cluster, starts_at"
    )
}

/// Every statement, including those of all shapes of lists, for the tests that prepare them.
pub(crate) fn every<B: Backend>() -> Vec<String> {
    let mut all: Vec<String> = ALL.iter().map(|sql| (*sql).to_owned()).collect();
    all.push(samples::<B>());
    for bits in 0..256 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        for order in [Order::SortKey, Order::CreatedAt, Order::EndedAt] {
            let query = Query {
                organization: has(0).then_some(OrganizationId(Uuid::nil())),
                parent: has(1).then(String::new),
                ids: has(2).then(Vec::new),
                parents: if has(7) { vec![String::new()] } else { Vec::new() },
                active_only: has(3),
                as_of: has(4).then_some(Timestamp(0)),
                after: has(5).then(|| Position { value: "0".to_owned(), id: String::new() }),
                descending: has(6),
                order,
                ..Query::all(Kind::Cluster)
            };
            all.extend(list::<B>(&query).map(|(sql, _)| sql));
        }
    }
    all
}
