//! Restores of databases and tables from a backup into a running cluster.

use crate::{
    archive::{Archive, Backup},
    support::{
        Driver, Folder, gone, new_cluster, plan, processes_below, ready, ready_again, sql, until, user,
    },
};
use ootheca_engine::{Engine, backup::ObjectRestore};
use ootheca_model::{
    ErrorKind, Result,
    backup::{RestoreObject, RestoreOptions, RestoreType},
    instance::InstancePlan,
};
use std::fs;
use tokio_postgres::Client;
use uuid::Uuid;

const TEMPORARY: &str = "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'ootheca-restore-%') \
                         + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'ootheca-restore-%')";

/// A cluster with the SQL user alice and the database shop, and a backup of it.
struct Bench {
    driver: Driver,
    folder: Folder,
    engine: Box<dyn Engine>,
    plan: InstancePlan,
    backup: Backup,
}

impl Bench {
    /// Runs `statements` in the database shop before the backup.
    async fn new(driver: Driver, statements: &str) -> Self {
        Self::with(driver, &[("shop", statements)]).await
    }

    /// Runs statements in databases before the backup.
    async fn with(driver: Driver, contents: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        let engine = driver.open_archiving(&folder).await;
        let plan = plan(&*engine, new_cluster());
        ready(&*engine, &plan).await;
        user(&*engine, plan.cluster, "alice").await;
        engine.admin(plan.cluster).await.unwrap().create_database("shop").await.unwrap();
        for (database, statements) in contents.iter().filter(|(_, statements)| !statements.is_empty()) {
            let client = sql(&*engine, plan.cluster, "alice", database).await.unwrap();
            client.batch_execute(statements).await.unwrap();
        }
        let mut archive = Archive::begin(&*engine, &plan).await;
        let backup = archive.take(&*engine, &plan).await;
        let bench = Self { driver, folder, engine, plan, backup };
        bench.stage().await;
        bench
    }

    /// Stages the backup anew, because a restore may have changed what is staged.
    async fn stage(&self) {
        self.engine.discard(self.plan.cluster, 0).await.unwrap();
        self.engine.stage(self.plan.cluster, 1, &self.backup.source(), None).await.unwrap();
    }

    async fn run(&self, restore: &ObjectRestore) -> Result<()> {
        self.engine.restore_objects(self.plan.cluster, 1, restore, &|_| {}).await
    }

    /// The message of the Precondition that the restore results in. Nothing is left of it.
    async fn refusal(&self, restore: &ObjectRestore) -> String {
        let before = self.databases().await;
        let error = self.run(restore).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precondition, "{}", error.chain());
        assert_eq!(self.databases().await, before);
        if matches!(self.driver, Driver::Postgres) {
            self.is_clean().await;
        }
        error.message().to_owned()
    }

    async fn forget(&self, restore: &ObjectRestore) {
        for _ in 0..2 {
            self.engine.forget_restore(self.plan.cluster, &restore.id).await.unwrap();
        }
    }

    async fn databases(&self) -> Vec<String> {
        let mut admin = self.engine.admin(self.plan.cluster).await.unwrap();
        admin.databases().await.unwrap().into_iter().map(|database| database.name).collect()
    }

    async fn sql(&self, database: &str) -> Client {
        sql(&*self.engine, self.plan.cluster, "alice", database).await.unwrap()
    }

    async fn execute(&self, database: &str, statements: &str) {
        self.sql(database).await.batch_execute(statements).await.unwrap();
    }

    /// The first value that a query returns.
    async fn value(&self, database: &str, query: &str) -> String {
        let rows = self.sql(database).await.query(&format!("SELECT ({query})::text"), &[]).await.unwrap();
        rows[0].get::<_, Option<String>>(0).unwrap_or_default()
    }

    /// Checks that nothing temporary is in the databases, and that no server of the backup runs.
    async fn is_clean(&self) {
        for database in self.databases().await.iter().map(String::as_str).chain(["postgres"]) {
            assert_eq!(self.value(database, TEMPORARY).await, "0", "{database}");
        }
        self.nothing_runs().await;
    }

    /// Checks that only the server of the cluster runs.
    async fn nothing_runs(&self) {
        let report = self.engine.report().await.unwrap();
        let staged = report.iter().find(|instance| instance.epoch == 1);
        let Some(staged) = staged else { return };
        assert!(processes_below(&staged.data).is_empty(), "{staged:?}");
        let sockets = self.folder.engine().join("run").join(&staged.instance);
        assert!(fs::read_dir(&sockets).is_err(), "{}", sockets.display());
    }

    async fn close(self) {
        gone(&*self.engine, self.plan.cluster).await;
        self.engine.close(false).await;
    }
}

fn restore(kind: RestoreType, objects: Vec<RestoreObject>, options: RestoreOptions) -> ObjectRestore {
    ObjectRestore { id: Uuid::new_v4().to_string(), kind, objects, options }
}

fn databases(names: &[&str], options: RestoreOptions) -> ObjectRestore {
    let object = |name: &&str| RestoreObject { database: (*name).to_owned(), ..RestoreObject::default() };
    restore(RestoreType::Database, names.iter().map(object).collect(), options)
}

/// Tables of the database shop, as schema and name.
fn tables(names: &[(&str, &str)], options: RestoreOptions) -> ObjectRestore {
    let names: Vec<_> = names.iter().map(|(schema, table)| ("shop", *schema, *table)).collect();
    tables_of(&names, options)
}

/// Tables as database, schema, and name.
fn tables_of(names: &[(&str, &str, &str)], options: RestoreOptions) -> ObjectRestore {
    let object = |(database, schema, table): &(&str, &str, &str)| RestoreObject {
        database: (*database).to_owned(),
        schema: (*schema).to_owned(),
        table: (*table).to_owned(),
    };
    restore(RestoreType::Table, names.iter().map(object).collect(), options)
}

fn default() -> RestoreOptions {
    RestoreOptions::default()
}

fn new_name(name: &str) -> RestoreOptions {
    RestoreOptions { new_db_name: name.to_owned(), ..default() }
}

fn into(name: &str) -> RestoreOptions {
    RestoreOptions { into_db: name.to_owned(), ..default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restores_databases() {
    restores_databases(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_restores_databases() {
    restores_databases(Driver::Simulated).await;
}

async fn restores_databases(driver: Driver) {
    let bench = Bench::new(driver, "").await;
    let (engine, cluster) = (&*bench.engine, bench.plan.cluster);
    let exists = bench.refusal(&databases(&["shop"], default())).await;
    assert_eq!(exists, "database shop already exists in the destination cluster");
    let missing = bench.refusal(&databases(&["nothing"], new_name("other"))).await;
    assert_eq!(missing, "objects: the backup does not contain database nothing");
    let none = bench.refusal(&tables(&[("", "t")], into("nothing"))).await;
    assert_eq!(none, "the destination cluster does not contain database nothing; create it first");

    let renamed = databases(&["shop"], new_name("copy"));
    bench.run(&renamed).await.unwrap();
    assert_eq!(bench.databases().await, ["copy", "defaultdb", "shop"]);
    for name in ["defaultdb", "shop"] {
        engine.admin(cluster).await.unwrap().drop_database(name).await.unwrap();
    }
    bench.stage().await;
    let both = databases(&["shop", "defaultdb", "shop"], default());
    bench.run(&both).await.unwrap();
    assert_eq!(bench.databases().await, ["copy", "defaultdb", "shop"]);

    // A restore that was completed is recognized without the staged data, until it is forgotten.
    engine.discard(cluster, 0).await.unwrap();
    for restore in [&renamed, &both] {
        bench.run(restore).await.unwrap();
        bench.forget(restore).await;
        assert_eq!(bench.run(restore).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(bench.databases().await, ["copy", "defaultdb", "shop"]);
    bench.close().await;
}

/// Objects with dependencies and odd names.
const ODD: &str = r#"
CREATE SCHEMA "Odd ""Schema""";
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TABLE "Odd ""Schema"""."It's a Table" (id serial PRIMARY KEY, "Größe" color DEFAULT 'red');
INSERT INTO "Odd ""Schema"""."It's a Table" ("Größe") SELECT 'green'::color FROM generate_series(1, 3);
CREATE TABLE parent (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
INSERT INTO parent (name) VALUES ('one'), ('two');
CREATE TABLE child (id int PRIMARY KEY, parent bigint REFERENCES parent);
INSERT INTO child VALUES (7, 2);
CREATE SEQUENCE numbers START 40;
CREATE TABLE numbered (number bigint DEFAULT nextval('numbers'), text text);
INSERT INTO numbered (text) VALUES ('first');
CREATE VIEW names AS SELECT name FROM parent;
CREATE VIEW names_of_names AS SELECT name FROM names;
CREATE TABLE measured (at int) PARTITION BY RANGE (at);
CREATE TABLE measured_low PARTITION OF measured FOR VALUES FROM (0) TO (10);
INSERT INTO measured VALUES (5);
CREATE FUNCTION positive(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
CREATE TABLE checked (value int CHECK (public.positive(value)));
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_complete_and_belongs_to_tenants() {
    let bench = Bench::new(Driver::Postgres, ODD).await;
    bench.execute("shop", "DROP TABLE child; UPDATE parent SET name = name || '!'").await;
    bench.run(&databases(&["shop"], new_name("Copy.1"))).await.unwrap();
    assert_eq!(
        bench.value("Copy.1", "SELECT string_agg(name, ',' ORDER BY id) FROM parent").await,
        "one,two"
    );
    assert_eq!(bench.value("Copy.1", "SELECT parent FROM child").await, "2");
    assert_eq!(bench.value("Copy.1", r#"SELECT count(*) FROM "Odd ""Schema"""."It's a Table""#).await, "3");
    assert_eq!(bench.value("Copy.1", "SELECT nextval('numbers')").await, "41");
    assert_eq!(
        bench.value("shop", "SELECT string_agg(name, ',' ORDER BY id) FROM parent").await,
        "one!,two!"
    );
    let own = "SELECT bool_and(pg_get_userbyid(relowner) = 'admin') FROM pg_class WHERE oid >= 16384 \
               AND relnamespace <> 'pg_toast'::regnamespace";
    assert_eq!(bench.value("Copy.1", own).await, "true");
    let same = "SELECT count(DISTINCT (datdba, encoding, datcollate, datctype, datconnlimit)) FROM pg_database \
                WHERE datname IN ('shop', 'Copy.1')";
    assert_eq!(bench.value("shop", same).await, "1");
    let privileges = "SELECT string_agg(privilege, ',') FROM unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) privilege \
                      WHERE has_database_privilege('public', 'Copy.1', privilege)";
    assert_eq!(bench.value("shop", privileges).await, "CONNECT,TEMPORARY");
    let comment = "SELECT count(*) FROM pg_shdescription s JOIN pg_database d ON d.oid = s.objoid \
                   WHERE d.datname = 'Copy.1'";
    assert_eq!(bench.value("shop", comment).await, "0");
    bench
        .execute("Copy.1", "ALTER TABLE child ADD note text; DROP TABLE numbered; CREATE TABLE fresh ()")
        .await;

    bench.stage().await;
    let empty = databases(&["shop"], RestoreOptions { schema_only: true, ..new_name("empty") });
    bench.run(&empty).await.unwrap();
    assert_eq!(bench.value("empty", "SELECT count(*) FROM parent").await, "0");
    bench.execute("empty", "INSERT INTO parent (name) VALUES ('x'); INSERT INTO child VALUES (1, 1)").await;
    bench.forget(&empty).await;
    assert_eq!(bench.value("postgres", TEMPORARY).await, "1", "the other restore is still known");
    bench.engine.admin(bench.plan.cluster).await.unwrap().drop_database("Copy.1").await.unwrap();
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_restored_with_their_sequences_constraints_and_partitions() {
    let bench = Bench::new(Driver::Postgres, ODD).await;
    let odd = ("Odd \"Schema\"", "It's a Table");
    bench.execute("shop", r#"DROP TABLE "Odd ""Schema"""."It's a Table", child, measured"#).await;
    bench.execute("shop", "DROP TABLE parent CASCADE").await;
    let all = [odd, ("", "parent"), ("public", "child"), ("", "measured"), ("", "names"), ("", "parent")];
    let restore = tables(&all, default());
    for _ in 0..2 {
        bench.run(&restore).await.unwrap();
    }
    let insert = r#"INSERT INTO "Odd ""Schema"""."It's a Table" DEFAULT VALUES"#;
    bench.execute("shop", insert).await;
    let query =
        r#"SELECT string_agg(id::text || "Größe", ',' ORDER BY id) FROM "Odd ""Schema"""."It's a Table""#;
    assert_eq!(bench.value("shop", query).await, "1green,2green,3green,4red");
    bench
        .execute("shop", "INSERT INTO parent (name) VALUES ('three'); INSERT INTO measured VALUES (6)")
        .await;
    assert_eq!(bench.value("shop", "SELECT max(id) FROM parent").await, "3");
    assert_eq!(bench.value("shop", "SELECT count(*) FROM measured_low").await, "2");
    assert_eq!(bench.value("shop", "SELECT count(*) FROM names").await, "3");
    let broken = bench.sql("shop").await.batch_execute("INSERT INTO child VALUES (8, 99)").await;
    assert!(broken.unwrap_err().as_db_error().unwrap().message().contains("foreign key"));
    bench.execute("shop", "DROP TABLE child; ALTER TABLE parent ADD note text").await;
    bench.forget(&restore).await;
    bench.is_clean().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_depend_on_what_is_missing_are_refused_unless_it_is_skipped() {
    let bench = Bench::new(Driver::Postgres, ODD).await;
    let engine = &*bench.engine;
    engine.admin(bench.plan.cluster).await.unwrap().create_database("other").await.unwrap();
    let other = |table: &str, options: RestoreOptions| {
        tables(&[("", table)], RestoreOptions { into_db: "other".to_owned(), ..options })
    };
    for (table, expected) in [
        (
            "child",
            "child depends on public.parent, which is not restored; restore both, or set \
                   restore_opts.skip_missing_foreign_keys",
        ),
        (
            "numbered",
            "depends on public.numbers, which is not restored; restore both, or set \
                      restore_opts.skip_missing_sequences",
        ),
        (
            "names",
            "names depends on public.parent, which is not restored; restore both, or set \
                   restore_opts.skip_missing_views",
        ),
        ("measured_low", "measured_low depends on public.measured, which is not restored"),
        ("parent_id_seq", "parent_id_seq depends on public.parent, which is not restored"),
        ("nothing", "the backup does not contain table shop.public.nothing"),
        ("checked", "function public.positive(integer) does not exist"),
    ] {
        bench.stage().await;
        let message = bench.refusal(&other(table, default())).await;
        assert!(message.contains(expected), "{table}: {message}");
    }

    for (table, options) in [
        ("child", RestoreOptions { skip_missing_foreign_keys: true, ..default() }),
        ("numbered", RestoreOptions { skip_missing_sequences: true, ..default() }),
        ("names_of_names", RestoreOptions { skip_missing_views: true, ..default() }),
        ("parent", RestoreOptions { schema_only: true, ..default() }),
    ] {
        bench.stage().await;
        let restore = other(table, options);
        bench.run(&restore).await.unwrap();
        bench.forget(&restore).await;
    }
    bench
        .execute("other", "INSERT INTO child VALUES (8, 99); INSERT INTO numbered (text) VALUES ('x')")
        .await;
    assert_eq!(bench.value("other", "SELECT count(*) FROM child").await, "2");
    assert_eq!(bench.value("other", "SELECT count(*) FROM numbered WHERE number IS NULL").await, "1");
    assert_eq!(bench.value("other", "SELECT to_regclass('public.names_of_names')").await, "");
    assert_eq!(bench.value("other", "SELECT count(*) FROM parent").await, "0");
    bench.is_clean().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_destination_must_have_what_tables_need_and_nothing_with_their_names() {
    let bench = Bench::new(Driver::Postgres, ODD).await;
    let odd = [("Odd \"Schema\"", "It's a Table")];
    let run = async |restore: ObjectRestore| {
        bench.stage().await;
        bench.refusal(&restore).await
    };
    bench.engine.admin(bench.plan.cluster).await.unwrap().create_database("other").await.unwrap();
    let exists = run(tables(&[("", "numbered"), ("", "numbers")], default())).await;
    assert_eq!(exists, "table public.numbered already exists in the destination cluster");
    let schema = run(tables(&odd, into("other"))).await;
    assert!(schema.contains("schema Odd \"Schema\"; create it first"), "{schema}");
    bench.execute("other", r#"CREATE SCHEMA "Odd ""Schema""""#).await;
    let missing = run(tables(&odd, into("other"))).await;
    assert!(missing.contains("type public.color; create it first"), "{missing}");
    // A value that the type does not have is found only during the copy.
    bench.execute("other", "CREATE TYPE color AS ENUM ('green')").await;
    let value = run(tables(&odd, into("other"))).await;
    assert!(value.contains("invalid input value for enum"), "{value}");
    bench.execute("other", "CREATE TABLE parent_pkey ()").await;
    let index = run(tables(&[("", "parent")], into("other"))).await;
    assert!(index.contains("\"parent_pkey\" already exists in schema \"public\""), "{index}");

    bench.execute("other", "ALTER TYPE color ADD VALUE 'red'; DROP TABLE parent_pkey").await;
    bench.stage().await;
    let restore = tables(&[odd[0], ("", "parent")], into("other"));
    bench.run(&restore).await.unwrap();
    bench.forget(&restore).await;
    assert_eq!(bench.value("other", "SELECT count(*) FROM parent").await, "2");
    bench.is_clean().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restores_tables_of_several_databases_into_another_one() {
    let shop = "CREATE TABLE items (id serial PRIMARY KEY); INSERT INTO items DEFAULT VALUES;
                CREATE SCHEMA extra; CREATE TABLE extra.notes AS SELECT 'of shop' AS text;
                CREATE TABLE parts (at int) PARTITION BY RANGE (at);
                CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10)";
    let defaultdb = "CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2);
                     CREATE SCHEMA extra; CREATE TABLE extra.names AS SELECT 'of defaultdb' AS text;
                     CREATE TABLE part ()";
    let bench = Bench::with(Driver::Postgres, &[("shop", shop), ("defaultdb", defaultdb)]).await;
    restores_tables_of_several_databases(&bench).await;
    for (query, expected) in [
        ("SELECT count(*) FROM users", "2"),
        ("SELECT text FROM extra.notes", "of shop"),
        ("SELECT text FROM extra.names", "of defaultdb"),
        ("SELECT nextval('items_id_seq')", "2"),
    ] {
        assert_eq!(bench.value("both", query).await, expected, "{query}");
    }
    bench.is_clean().await;

    let same = tables_of(&[("defaultdb", "", "part"), ("shop", "", "parts")], into("both"));
    let missing = tables_of(&[("defaultdb", "", "part"), ("shop", "", "nothing")], into("both"));
    for (restore, expected) in [
        (same, "objects: several databases of the backup contain table public.part"),
        (missing, "objects: the backup does not contain table shop.public.nothing"),
    ] {
        bench.stage().await;
        assert_eq!(bench.refusal(&restore).await, expected);
    }
    assert_eq!(bench.value("both", "SELECT to_regclass('public.part')").await, "");
    bench.close().await;
}

#[tokio::test]
async fn simulated_restores_tables_of_several_databases_into_another_one() {
    let bench = Bench::new(Driver::Simulated, "").await;
    restores_tables_of_several_databases(&bench).await;
    bench.close().await;
}

async fn restores_tables_of_several_databases(bench: &Bench) {
    bench.engine.admin(bench.plan.cluster).await.unwrap().create_database("both").await.unwrap();
    let names = [
        ("shop", "", "items"),
        ("defaultdb", "public", "users"),
        ("shop", "extra", "notes"),
        ("defaultdb", "extra", "names"),
    ];
    let refused = bench.refusal(&tables_of(&names, default())).await;
    assert_eq!(refused, "restore_opts.into_db is required for tables of several databases");
    if matches!(bench.driver, Driver::Postgres) {
        bench.execute("both", "CREATE SCHEMA extra").await;
    }
    let restore = tables_of(&names, into("both"));
    for _ in 0..2 {
        bench.run(&restore).await.unwrap();
    }
    bench.forget(&restore).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_tenants_have_no_more_rights_during_a_restore() {
    let statements = "
        CREATE FUNCTION escalate(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
            EXECUTE 'RESET ROLE';
            RETURN NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
                AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user);
        END $$;
        CREATE TABLE guarded (value int CHECK (public.escalate(value)));
        INSERT INTO guarded VALUES (1)";
    let bench = Bench::new(Driver::Postgres, statements).await;
    bench.run(&databases(&["shop"], new_name("copy"))).await.unwrap();
    assert_eq!(bench.value("copy", "SELECT count(*) FROM guarded").await, "1");
    bench.execute("shop", "DROP TABLE guarded").await;
    bench.stage().await;
    bench.run(&tables(&[("", "guarded")], default())).await.unwrap();
    assert_eq!(bench.value("shop", "SELECT count(*) FROM guarded").await, "1");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_is_continued_and_leaves_nothing() {
    let large = "CREATE TABLE large AS SELECT i, repeat('x', 500) AS text FROM generate_series(1, 100000) i";
    let small = "CREATE TABLE small AS SELECT 1 AS i";
    let mut bench = Bench::with(Driver::Postgres, &[("shop", large), ("defaultdb", small)]).await;
    bench.execute("shop", "DROP TABLE large").await;
    bench.engine.admin(bench.plan.cluster).await.unwrap().create_database("both").await.unwrap();
    let count = "SELECT count(*) FROM large";
    let several = [("defaultdb", "", "small"), ("shop", "", "large")];
    for (restore, database) in [
        (databases(&["shop"], new_name("copy")), "copy"),
        (tables(&[("", "large")], default()), "shop"),
        (tables_of(&several, into("both")), "both"),
    ] {
        bench.stage().await;
        // The engine closes as soon as something is copied.
        let (copied, begun) = tokio::sync::oneshot::channel();
        let copied = parking_lot::Mutex::new(Some(copied));
        let report = move |_: f32| {
            if let Some(copied) = copied.lock().take() {
                let _ = copied.send(());
            }
        };
        let close = async {
            begun.await.unwrap();
            bench.engine.close(true).await;
        };
        let run = bench.engine.restore_objects(bench.plan.cluster, 1, &restore, &report);
        let (result, ()) = tokio::join!(run, close);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());

        bench.engine = bench.driver.open_archiving(&bench.folder).await;
        ready_again(&*bench.engine, &bench.plan).await;
        bench.is_clean().await;
        bench.run(&restore).await.unwrap();
        bench.forget(&restore).await;
        bench.is_clean().await;
        assert_eq!(bench.value(database, count).await, "100000");
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_can_be_removed_during_a_restore() {
    let large = "CREATE TABLE large AS SELECT i, repeat('x', 500) AS text FROM generate_series(1, 100000) i";
    let bench = Bench::new(Driver::Postgres, large).await;
    let restore = databases(&["shop"], new_name("copy"));
    let run = bench.run(&restore);
    let remove = async {
        let staged = || async {
            let report = bench.engine.report().await.unwrap();
            report
                .iter()
                .any(|instance| instance.epoch == 1 && !processes_below(&instance.data).is_empty())
                .then_some(())
        };
        until("the staged server runs", staged).await;
        gone(&*bench.engine, bench.plan.cluster).await;
    };
    let (result, ()) = tokio::join!(run, remove);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(bench.engine.report().await.unwrap().is_empty());
    bench.engine.close(false).await;
}
