//! Prepares a database of the staged instance so that `pg_dump` copies just the tables of a restore: they are moved into
//! temporary schemas, and what depends on other objects is removed. All of it is one transaction, which a repeated call
//! recognizes by the schemas.

use super::{Names, failed, is_true};
use crate::{
    backup::{ObjectRestore, missing_in_backup},
    postgres::{
        deadline::response,
        sql::{Identifier, Literal},
    },
};
use ootheca_model::{Error, Result, backup::RestoreObject, sql_name};
use std::collections::BTreeSet;
use tokio_postgres::{Client, Row, Transaction};

const WHAT: &str = "prepare the tables of the backup";
/// In bytes. The server refuses longer names instead of finding nothing.
const MAX_NAME: usize = 63;
const DEFAULT_SCHEMA: &str = "public";

/// `follows` is true for sequences that belong to a column of another relation in the table, and move together with it.
const CREATE: &str = "CREATE TEMPORARY TABLE chosen (oid oid PRIMARY KEY, follows boolean NOT NULL DEFAULT false) \
                      ON COMMIT DROP";
const FIND: &str = "
INSERT INTO pg_temp.chosen (oid)
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.oid >= 16384
ON CONFLICT (oid) DO NOTHING";
const ADD_PARTITIONS: &str = "
WITH RECURSIVE tree (oid) AS (
    SELECT oid FROM pg_temp.chosen
    UNION SELECT c.oid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
        JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition)
INSERT INTO pg_temp.chosen (oid) SELECT oid FROM tree ON CONFLICT (oid) DO NOTHING";
const ADD_SEQUENCES: &str = "
INSERT INTO pg_temp.chosen (oid, follows)
SELECT DISTINCT s.oid, true FROM pg_temp.chosen x
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = x.oid
        AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
ON CONFLICT (oid) DO UPDATE SET follows = true";

/// The following return an object and what it depends on, which is not restored. The server quotes the names.
const PARENTS: &str = "
SELECT i.inhrelid::regclass::text, i.inhparent::regclass::text FROM pg_inherits i
WHERE i.inhrelid IN (SELECT oid FROM pg_temp.chosen) AND i.inhparent NOT IN (SELECT oid FROM pg_temp.chosen)
ORDER BY 1, 2";
const OWNERS: &str = "
SELECT s.oid::regclass::text, d.refobjid::regclass::text
FROM pg_temp.chosen x JOIN pg_class s ON s.oid = x.oid AND s.relkind = 'S'
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
WHERE NOT x.follows ORDER BY 1, 2";
/// The third column is the statement that removes the dependency.
const FOREIGN_KEYS: &str = "
SELECT k.conrelid::regclass::text, k.confrelid::regclass::text,
    format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
FROM pg_constraint k
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid IN (SELECT oid FROM pg_temp.chosen)
    AND k.confrelid NOT IN (SELECT oid FROM pg_temp.chosen)
ORDER BY 1, 2, 3";
const DEFAULTS: &str = "
SELECT format('%s.%I', a.attrelid::regclass, a.attname), s.oid::regclass::text,
    format('ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT', a.attrelid::regclass, a.attname)
FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
        AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
WHERE f.adrelid IN (SELECT oid FROM pg_temp.chosen) AND s.oid NOT IN (SELECT oid FROM pg_temp.chosen)
ORDER BY 1, 2";
/// Views, and tables with rules.
const RULES: &str = "
SELECT v.oid::regclass::text, c.oid::regclass::text, format('DELETE FROM pg_temp.chosen WHERE oid = %s', v.oid),
    v.relkind IN ('v', 'm')
FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.refobjid AND c.oid <> v.oid AND c.oid >= 16384
WHERE v.oid IN (SELECT oid FROM pg_temp.chosen) AND c.oid NOT IN (SELECT oid FROM pg_temp.chosen)
ORDER BY 1, 2";

const SCHEMAS: &str = "
SELECT DISTINCT n.nspname::text FROM pg_temp.chosen x JOIN pg_class c ON c.oid = x.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1";
const MOVES: &str = "
SELECT format('ALTER TABLE %s SET SCHEMA %I', x.oid::regclass, $2::text) FROM pg_temp.chosen x
    JOIN pg_class c ON c.oid = x.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND NOT x.follows";

const IS_SHAPED: &str = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname ~ $1)";
const RELATIONS: &str = "
SELECT n.nspname::text, obj_description(n.oid, 'pg_namespace'), c.relname::text, pg_table_size(c.oid)
FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
WHERE n.nspname ~ $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
            AND d.deptype IN ('a', 'i')))
ORDER BY n.nspname, c.relname";
/// The types of columns that do not move together with the tables. That of the elements stands for an array.
const TYPES: &str = "
SELECT DISTINCT n.nspname::text, t.typname::text
FROM pg_namespace h JOIN pg_class c ON c.relnamespace = h.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type u ON u.oid = a.atttypid
    JOIN pg_type t ON t.oid = CASE WHEN u.typcategory = 'A' AND u.typelem <> 0 THEN u.typelem ELSE u.oid END
    JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE h.nspname ~ $1 AND n.nspname !~ $1 AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2";

/// A table, view, or sequence in a temporary schema.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) temporary_schema: String,
    /// Where it belongs.
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// Moves the tables of a restore that belong to `database` into temporary schemas, unless an earlier call has done so.
/// The numbers of the schemas begin with `first`. Returns what they contain.
pub(super) async fn shape(
    client: &mut Client,
    restore: &ObjectRestore,
    database: &str,
    names: &Names,
    first: usize,
) -> Result<Vec<Relation>> {
    let pattern = names.temporary_pattern();
    if !response(is_true(client, IS_SHAPED, &[&pattern]), failed(WHAT)).await? {
        let transaction = response(client.transaction(), failed(WHAT)).await?;
        choose(&transaction, restore, database).await?;
        check(&transaction, restore).await?;
        move_chosen(&transaction, names, first).await?;
        response(transaction.commit(), failed(WHAT)).await?;
    }
    let rows = response(client.query(RELATIONS, &[&pattern]), failed(WHAT)).await?;
    rows.iter().map(relation).collect::<Result<_, _>>().map_err(failed(WHAT))
}

fn relation(row: &Row) -> Result<Relation, tokio_postgres::Error> {
    let bytes: i64 = row.try_get(3)?;
    Ok(Relation {
        temporary_schema: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
        bytes: u64::try_from(bytes).unwrap_or(0),
    })
}

/// The types that the tables need, with their schemas.
pub(super) async fn types(client: &Client, names: &Names) -> Result<Vec<(String, String)>> {
    let rows = response(client.query(TYPES, &[&names.temporary_pattern()]), failed(WHAT)).await?;
    rows.iter().map(two_names).collect::<Result<_, _>>().map_err(failed(WHAT))
}

fn two_names(row: &Row) -> Result<(String, String), tokio_postgres::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn choose(transaction: &Transaction<'_>, restore: &ObjectRestore, database: &str) -> Result<()> {
    response(transaction.batch_execute(CREATE), failed(WHAT)).await?;
    let mut seen = BTreeSet::new();
    for object in &restore.objects {
        let schema = if object.schema.is_empty() { DEFAULT_SCHEMA } else { &object.schema };
        if object.database != database || !seen.insert((schema, &object.table)) {
            continue;
        }
        let missing = || missing_in_backup(format!("table {}", displayed(object, schema)));
        let name = |text: &str| {
            sql_name::parse(text)
                .and_then(|name| String::from_utf8(name).ok())
                .filter(|name| name.len() <= MAX_NAME)
        };
        let (schema, table) = (name(schema).ok_or_else(missing)?, name(&object.table).ok_or_else(missing)?);
        let found = response(transaction.execute(FIND, &[&schema, &table]), failed(WHAT)).await?;
        if found == 0 {
            return Err(missing());
        }
    }
    for statement in [ADD_PARTITIONS, ADD_SEQUENCES] {
        response(transaction.batch_execute(statement), failed(WHAT)).await?;
    }
    Ok(())
}

fn displayed(object: &RestoreObject, schema: &str) -> String {
    format!("{}.{schema}.{}", object.database, object.table)
}

/// Removes what depends on objects that are not restored, if the options say so.
async fn check(transaction: &Transaction<'_>, restore: &ObjectRestore) -> Result<()> {
    let options = &restore.options;
    // A view can depend on a view that is skipped.
    loop {
        let rows = response(transaction.query(RULES, &[]), failed(WHAT)).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let is_view: bool = row.try_get(3).map_err(failed(WHAT))?;
            let option = is_view.then_some(("skip_missing_views", options.skip_missing_views));
            resolve(transaction, row, option).await?;
        }
    }
    for query in [PARENTS, OWNERS] {
        if let Some(row) = response(transaction.query(query, &[]), failed(WHAT)).await?.first() {
            return Err(dependent(row, None).unwrap_or_else(failed(WHAT)));
        }
    }
    let skippable = [
        (FOREIGN_KEYS, "skip_missing_foreign_keys", options.skip_missing_foreign_keys),
        (DEFAULTS, "skip_missing_sequences", options.skip_missing_sequences),
    ];
    for (query, option, skip) in skippable {
        for row in response(transaction.query(query, &[]), failed(WHAT)).await? {
            resolve(transaction, &row, Some((option, skip))).await?;
        }
    }
    Ok(())
}

/// Removes a dependency if its option is set.
async fn resolve(transaction: &Transaction<'_>, row: &Row, option: Option<(&str, bool)>) -> Result<()> {
    match option {
        Some((_, true)) => {
            let statement: String = row.try_get(2).map_err(failed(WHAT))?;
            response(transaction.batch_execute(&statement), failed(WHAT)).await
        }
        _ => Err(dependent(row, option.map(|(name, _)| name)).unwrap_or_else(failed(WHAT))),
    }
}

fn dependent(row: &Row, option: Option<&str>) -> Result<Error, tokio_postgres::Error> {
    let (object, needed) = two_names(row)?;
    let hint = option.map(|option| format!(", or set restore_opts.{option}")).unwrap_or_default();
    Ok(Error::precondition(format!(
        "objects: {object} depends on {needed}, which is not restored; restore both{hint}"
    )))
}

async fn move_chosen(transaction: &Transaction<'_>, names: &Names, first: usize) -> Result<()> {
    let schemas = response(transaction.query(SCHEMAS, &[]), failed(WHAT)).await?;
    for (number, row) in schemas.iter().enumerate() {
        let (schema, temporary) =
            (row.try_get::<_, String>(0).map_err(failed(WHAT))?, names.temporary(first + number));
        let moves = response(transaction.query(MOVES, &[&schema, &temporary]), failed(WHAT)).await?;
        let name = Identifier(&temporary);
        // The comment says where the tables belong.
        let create = format!("CREATE SCHEMA {name}; COMMENT ON SCHEMA {name} IS {}", Literal(&schema));
        response(transaction.batch_execute(&create), failed(WHAT)).await?;
        for row in moves {
            let statement: String = row.try_get(0).map_err(failed(WHAT))?;
            response(transaction.batch_execute(&statement), failed(WHAT)).await?;
        }
    }
    Ok(())
}
