//! SQL users and databases whose names are not UTF-8, or would be misleading if they were shown unescaped. A
//! tenant can create them with SQL, and must not be able to lock other users out with them.

use crate::support::{PASSWORD, PROGRAM, column, id, real, sql_user};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, postgres::TemporaryPostgres};
use serde_json::json;

/// How the API shows the name of five bytes that ends in 0xff.
const BAD: &str = r"bad\xff";
/// The same bytes in the hex format of `bytea`.
const BAD_BYTES: &str = r"\x626164ff";
/// How the API shows the name of seven bytes that looks like [`BAD`].
const LOOKALIKE: &str = r"bad\\xff";
/// The password of a role that was created with SQL.
const SQL_PASSWORD: &str = "a password set in SQL";

/// Creates a cluster with the users `keeper` and `other`, and a database `ascii` in which names can contain
/// any bytes.
pub(crate) fn furnish(server: &Ootheca, plan: &str) -> String {
    let cluster = id(&server.create_cluster("some-cluster", plan));
    sql_user(server, &cluster, "keeper");
    sql_user(server, &cluster, "other");
    let create = "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'";
    server.psql(&cluster, "keeper", PASSWORD, create).ok();
    cluster
}

/// Runs SQL as `keeper` in the database `ascii`.
#[track_caller]
fn in_ascii(server: &Ootheca, cluster: &str, sql: &str) -> String {
    let string = server.connection_string(cluster, "keeper").replace("/defaultdb", "/ascii");
    server.psql_at(&string, PASSWORD, sql).ok().to_owned()
}

/// Runs SQL with the name of these bytes in place of `%I`.
#[track_caller]
pub(crate) fn with_name(server: &Ootheca, cluster: &str, sql: &str, bytes: &str) {
    let name = format!("convert_from('{bytes}', 'SQL_ASCII')");
    let sql = sql.replace('\'', "''");
    in_ascii(server, cluster, &format!("DO $$ BEGIN EXECUTE format('{sql}', {name}); END $$"));
}

/// Creates the role [`BAD`].
#[track_caller]
fn make_bad_role(server: &Ootheca, cluster: &str) {
    let create = format!("CREATE ROLE %I LOGIN CREATEDB PASSWORD '{SQL_PASSWORD}' IN ROLE admin");
    with_name(server, cluster, &create, BAD_BYTES);
}

/// Creates the database [`BAD`].
#[track_caller]
fn make_bad_database(server: &Ootheca, cluster: &str) {
    server.psql(cluster, "keeper", PASSWORD, "CREATE DATABASE plain").ok();
    with_name(server, cluster, "ALTER DATABASE plain RENAME TO %I", BAD_BYTES);
}

#[track_caller]
fn users(server: &Ootheca, cluster: &str) -> Vec<String> {
    column(&server.get(&format!("/clusters/{cluster}/sql-users")).ok()["users"], "name")
}

#[track_caller]
pub(crate) fn databases(server: &Ootheca, cluster: &str) -> Vec<String> {
    column(&server.get(&format!("/clusters/{cluster}/databases")).ok()["databases"], "name")
}

/// The path of a user or database with this name.
pub(crate) fn at(cluster: &str, what: &str, name: &str) -> String {
    format!("/clusters/{cluster}/{what}/{}", name.replace('%', "%25").replace('\\', "%5C"))
}

#[test]
fn a_user_with_a_name_that_is_not_utf8_is_listed_and_deleted() {
    let server = real();
    let cluster = furnish(&server, "STANDARD");
    make_bad_role(&server, &cluster);
    in_ascii(&server, &cluster, &format!(r#"CREATE ROLE "bad\xff" LOGIN PASSWORD '{SQL_PASSWORD}'"#));
    in_ascii(&server, &cluster, "CREATE ROLE \"two\nlines\" LOGIN; CREATE ROLE \"back\\slash\" LOGIN");
    let all = [r"back\slash", LOOKALIKE, BAD, "keeper", "other", r"two\x0alines"];
    assert_eq!(users(&server, &cluster), all);
    let mut page = server.get(&format!("/clusters/{cluster}/sql-users?pagination.limit=1"));
    for name in all {
        assert_eq!(column(&page.ok()["users"], "name"), [name]);
        let token = page.text("/pagination/next_page");
        let path = format!("/clusters/{cluster}/sql-users?pagination.limit=1&pagination.page={token}");
        page = server.get(&path);
    }
    assert_eq!(server.psql(&cluster, "other", PASSWORD, "SELECT 1").ok(), "1");
    sql_user(&server, &cluster, "third");
    assert_eq!(server.psql(&cluster, "third", PASSWORD, "SELECT 1").ok(), "1");

    // Every operation on a user affects this user and no other.
    let string = server.connection_string(&cluster, "keeper");
    let (as_bad, as_lookalike) =
        (string.replace("keeper@", "bad%FF@"), string.replace("keeper@", "bad%5Cxff@"));
    let who = "SELECT encode(namesend(current_user), 'hex')";
    assert_eq!(server.psql_at(&as_bad, SQL_PASSWORD, who).ok(), "626164ff");
    assert_eq!(server.psql_at(&as_lookalike, SQL_PASSWORD, who).ok(), "6261645c786666");
    let by_api = server.connection_string(&cluster, "bad%5Cxff");
    assert_eq!(server.psql_at(&by_api, SQL_PASSWORD, who).ok(), "626164ff", "{by_api}");
    let path = at(&cluster, "sql-users", BAD);
    server.put(&format!("{path}/password"), json!({ "password": PASSWORD })).ok();
    server.psql_at(&as_bad, SQL_PASSWORD, who).fails("password authentication failed");
    assert_eq!(server.psql_at(&as_lookalike, SQL_PASSWORD, who).ok(), "6261645c786666");
    server.psql_at(&as_bad, PASSWORD, "CREATE DATABASE its_own").ok();
    let its_own = as_bad.replace("/defaultdb", "/its_own");
    server.psql_at(&its_own, PASSWORD, "CREATE TABLE owned (n int)").ok();
    let answer = server.delete(&path);
    assert_eq!(answer.ok()["name"], BAD);
    server.delete(&path).refused(404);
    assert_eq!(
        users(&server, &cluster),
        [r"back\slash", LOOKALIKE, "keeper", "other", "third", r"two\x0alines"]
    );
    server.psql_at(&as_bad, PASSWORD, who).fails("authentication failed");
    let its_own = string.replace("/defaultdb", "/its_own");
    assert_eq!(server.psql_at(&its_own, PASSWORD, "SELECT count(*) FROM owned").ok(), "0");
    for name in [LOOKALIKE, r"two\x0alines", r"back\slash"] {
        server.delete(&at(&cluster, "sql-users", name)).ok();
    }
    for name in ["two%0Alines", "nul%00", "%5Cx41"] {
        server.delete(&format!("/clusters/{cluster}/sql-users/{name}")).refused(404);
    }
    assert_eq!(users(&server, &cluster), ["keeper", "other", "third"]);
}

#[test]
fn a_database_with_a_name_that_is_not_utf8_is_listed_renamed_and_deleted() {
    let server = real();
    let cluster = furnish(&server, "STANDARD");
    make_bad_role(&server, &cluster);
    make_bad_database(&server, &cluster);
    server.psql(&cluster, "keeper", PASSWORD, r#"CREATE DATABASE "bad\xff""#).ok();
    assert_eq!(databases(&server, &cluster), ["ascii", LOOKALIKE, BAD, "defaultdb"]);
    let string = server.connection_string(&cluster, "other").replace("/defaultdb", "/bad%FF");
    server.psql_at(&string.replace("other@", "bad%FF@"), SQL_PASSWORD, "CREATE TABLE owned (n int)").ok();
    let list = server.get(&format!("/clusters/{cluster}/databases"));
    assert_eq!(list.text("/databases/2/table_count"), "1");
    let wish = json!({ "database": BAD, "statement": "SELECT count(*) FROM owned" });
    let shell = format!("/api/ootheca/v1/clusters/{cluster}/sql");
    assert_eq!(server.raw("POST", &shell).json(&wish).send().text("/rows/0/0"), "0");

    // The user can be deleted although it owns objects in the database.
    server.delete(&at(&cluster, "sql-users", BAD)).ok();
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'owned'";
    assert_eq!(server.psql_at(&string, PASSWORD, owner).ok(), "admin");

    let path = at(&cluster, "databases", BAD);
    server.patch(&path, json!({ "new_name": "clean" })).ok();
    assert_eq!(databases(&server, &cluster), ["ascii", LOOKALIKE, "clean", "defaultdb"]);
    let clean = string.replace("/bad%FF", "/clean");
    assert_eq!(server.psql_at(&clean, PASSWORD, "SELECT count(*) FROM owned").ok(), "0");
    server.patch(&path, json!({ "new_name": "other" })).refused(404);
    make_bad_database(&server, &cluster);
    server.patch(&at(&cluster, "databases", "clean"), json!({ "new_name": "ascii" })).refused(409);

    // Deleting it ends the sessions in it, even if it is marked as a template.
    with_name(&server, &cluster, "ALTER DATABASE %I IS_TEMPLATE true", BAD_BYTES);
    let mut inside = server.session_at(&string, PASSWORD);
    assert_eq!(inside.run("SELECT 1").as_deref(), Ok("1"));
    assert_eq!(server.delete(&path).ok()["name"], BAD);
    eventually("its session ends", || inside.run("SELECT 1").err());
    server.delete(&path).refused(404);
    assert_eq!(databases(&server, &cluster), ["ascii", LOOKALIKE, "clean", "defaultdb"]);
    server.delete(&at(&cluster, "databases", LOOKALIKE)).ok();
    assert_eq!(databases(&server, &cluster), ["ascii", "clean", "defaultdb"]);
}

#[test]
fn other_names_and_encodings_do_not_block_logins() {
    let server = real();
    let cluster = furnish(&server, "STANDARD");
    // The role `admin` under a name that is not UTF-8, and another one in its place.
    with_name(&server, &cluster, "ALTER ROLE admin RENAME TO %I", BAD_BYTES);
    in_ascii(&server, &cluster, "CREATE ROLE admin LOGIN");
    sql_user(&server, &cluster, "third");
    assert_eq!(server.psql(&cluster, "third", PASSWORD, "SELECT pg_has_role('admin', 'member')").ok(), "t");
    // Names that are reserved in the API, and not in SQL.
    for sql in [r#"CREATE ROLE "Root" LOGIN"#, "CREATE ROLE node LOGIN", r#"CREATE DATABASE "Postgres""#] {
        server.psql(&cluster, "third", PASSWORD, sql).ok();
    }
    // Only its own client encoding is possible in it.
    let mule = "CREATE DATABASE mule ENCODING 'MULE_INTERNAL' TEMPLATE template0 LOCALE 'C'";
    server.psql(&cluster, "third", PASSWORD, mule).ok();
    let mule = server.connection_string(&cluster, "third").replace("/defaultdb", "/mule");
    let table = "CREATE TABLE owned (n int)";
    server.psql_at(&format!("{mule}&client_encoding=MULE_INTERNAL"), PASSWORD, table).ok();
    assert_eq!(databases(&server, &cluster), ["Postgres", "ascii", "defaultdb", "mule"]);
    server.delete(&at(&cluster, "sql-users", "third")).ok();
    server.delete(&at(&cluster, "databases", "Postgres")).ok();
    let listed = users(&server, &cluster);
    let (renamed, rest) = listed.split_at(2);
    assert!(renamed[0] == "Root" && renamed[1].starts_with("admin_"), "{renamed:?}");
    assert_eq!(rest, ["keeper", "node", "other"]);
    for name in renamed.iter().chain(&rest[1..2]) {
        server.delete(&at(&cluster, "sql-users", name)).ok();
    }
    assert_eq!(users(&server, &cluster), ["keeper", "other"]);
}

#[test]
fn a_cluster_with_such_names_is_suspended_and_resumed() {
    sleeps_and_wakes(&ServerBuilder::new(PROGRAM));
}

#[test]
fn a_cluster_with_such_names_is_suspended_and_resumed_with_postgresql() {
    let postgres = TemporaryPostgres::start();
    sleeps_and_wakes(&ServerBuilder::new(PROGRAM).store(&postgres.url()));
}

fn sleeps_and_wakes(launch: &ServerBuilder) {
    let server =
        launch.clone().engine(Engine::Postgres).env("OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS", "1").boot();
    let cluster = furnish(&server, "BASIC");
    make_bad_role(&server, &cluster);
    make_bad_database(&server, &cluster);
    let until_asleep = || {
        let nodes = format!("/clusters/{cluster}/nodes");
        eventually("it is suspended", || (server.get(&nodes).ok()["nodes"] == json!([])).then_some(()));
    };
    until_asleep();
    let at_rest = || (users(&server, &cluster), databases(&server, &cluster));
    let (all_users, all_databases) = ([BAD, "keeper", "other"], ["ascii", BAD, "defaultdb"]);
    assert_eq!(at_rest(), (all_users.map(str::to_owned).to_vec(), all_databases.map(str::to_owned).to_vec()));
    assert_eq!(server.psql(&cluster, "other", PASSWORD, "SELECT 1").ok(), "1");
    until_asleep();
    let string = server.connection_string(&cluster, "keeper").replace("keeper@", "bad%FF@");
    assert_eq!(server.psql_at(&string, SQL_PASSWORD, "SELECT 1").ok(), "1");
    until_asleep();
    server.delete(&at(&cluster, "sql-users", BAD)).ok();
    server.delete(&at(&cluster, "databases", BAD)).ok();
    until_asleep();
    assert_eq!((users(&server, &cluster).len(), databases(&server, &cluster).len()), (2, 2));
    assert!(!server.log().contains("panicked"));
}
