//! What tenants cannot do, and that others have no access.

use crate::support::{
    Folder, PASSWORD, control, new_cluster, plan, postgres, processes_below, ready, settings, sql, until,
    user,
};
use ootheca_engine::{
    Engine,
    postgres::{PostgresEngine, Settings, report},
};
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

#[tokio::test(flavor = "multi_thread")]
async fn tenants_cannot_leave_their_cluster() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    user(&engine, plan.cluster, "max").await;
    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    let refused = [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "CREATE TEMP TABLE f (t text); COPY f FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/ootheca-test'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "GRANT pg_execute_server_program TO max",
        "GRANT pg_read_server_files TO max",
        "GRANT pg_write_server_files TO max",
        "ALTER ROLE max SUPERUSER",
        "CREATE ROLE other SUPERUSER",
        "CREATE ROLE other REPLICATION",
        "GRANT ootheca TO max",
        "SET ROLE ootheca",
        "ALTER ROLE ootheca PASSWORD 'x'",
        "DROP ROLE ootheca",
        "UPDATE pg_authid SET rolsuper = true",
        "DELETE FROM pg_auth_members",
        "ALTER SYSTEM SET listen_addresses = '*'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/lib/x', 'f'",
        "CREATE EXTENSION file_fdw",
        "CREATE TABLESPACE t LOCATION '/tmp'",
        "LOAD '/tmp/x'",
        "SET log_min_messages = log",
        "ALTER ROLE max SET log_min_messages = log",
        "ALTER ROLE ALL RESET log_min_messages",
        "SET temp_file_limit = -1",
    ];
    for statement in refused {
        let error = max.batch_execute(statement).await.expect_err(statement);
        let code = error.code().map(|code| code.code());
        // Either the permission is denied, or the role does not exist.
        assert!(matches!(code, Some("42501" | "42704")), "{statement}: {error:?}");
    }
    for database in ["template0", "template1"] {
        assert!(sql(&engine, plan.cluster, "max", database).await.is_err(), "{database}");
    }
    max.batch_execute("CREATE ROLE app LOGIN PASSWORD 'x'; CREATE SCHEMA app").await.unwrap();
    drop(max);
    let max = sql(&engine, plan.cluster, "max", "postgres").await.unwrap();
    creates_nothing(&max).await;
    engine.close(false).await;
}

/// Checks that a session in the database `postgres` can create nothing in it, and cannot change it.
async fn creates_nothing(session: &tokio_postgres::Client) {
    let refused = [
        "CREATE TABLE t ()",
        "CREATE TABLE public.t ()",
        "CREATE TABLE pg_catalog.t ()",
        "CREATE TABLE information_schema.t ()",
        "CREATE TEMPORARY TABLE t ()",
        "CREATE TEMPORARY VIEW v AS SELECT 1",
        "SELECT 1 AS n INTO TEMPORARY t",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE public.t AS (n int)",
        "CREATE SCHEMA s",
        "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
        "CREATE EXTENSION hstore",
        "CREATE PUBLICATION p",
        "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION pg_catalog.now()",
        "SELECT lo_creat(-1)",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "INSERT INTO pg_largeobject VALUES (1, 0, 'x')",
        "DO $$ BEGIN LOCK TABLE pg_authid IN SHARE UPDATE EXCLUSIVE MODE; END $$",
        "ALTER DATABASE postgres RENAME TO other",
        "ALTER DATABASE postgres OWNER TO admin",
        "ALTER DATABASE postgres SET work_mem = '1MB'",
        "ALTER DATABASE postgres CONNECTION LIMIT 0",
        "ALTER DATABASE template1 ALLOW_CONNECTIONS true",
        "CREATE DATABASE copy TEMPLATE postgres",
        "GRANT CREATE, TEMPORARY ON DATABASE postgres TO admin",
        "GRANT CREATE ON SCHEMA public TO admin",
    ];
    for statement in refused {
        let before = session.query_one(PRIVILEGES, &[]).await.unwrap().get::<_, String>(0);
        match session.batch_execute(statement).await {
            // GRANT without the right to do so is only a warning.
            Ok(()) => assert!(statement.starts_with("GRANT"), "{statement}"),
            Err(error) => {
                let code = error.code().map(|code| code.code().to_owned());
                // Some extensions are not installed, and a function does not return a trigger.
                let expected = ["42501", "0A000", "58P01", "42P17"];
                assert!(
                    code.as_deref().is_some_and(|code| expected.contains(&code)),
                    "{statement}: {error:?}"
                );
            }
        }
        let after = session.query_one(PRIVILEGES, &[]).await.unwrap().get::<_, String>(0);
        assert_eq!(before, after, "{statement}");
    }
    let dropped = session.batch_execute("DROP DATABASE postgres").await.expect_err("it is in use");
    assert!(matches!(dropped.code().map(|code| code.code()), Some("42501" | "55006")), "{dropped:?}");
}

/// Everything that a session could add to its database, as one text.
const PRIVILEGES: &str = "SELECT concat_ws(' ', \
     (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_type), \
     (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_largeobject_metadata), \
     (SELECT count(*) FROM pg_extension), (SELECT string_agg(datname || datacl::text, ',' ORDER BY datname) FROM pg_database), \
     (SELECT string_agg(nspname || nspacl::text, ',' ORDER BY nspname) FROM pg_namespace))";

/// The databases as an earlier version created them.
const FORMER: &str = "REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC; \
     ALTER DATABASE template1 ALLOW_CONNECTIONS true; \
     GRANT EXECUTE ON FUNCTION lo_creat(int), lo_create(oid), lo_from_bytea(oid, bytea) TO PUBLIC";

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_earlier_versions_get_the_current_privileges() {
    for detach in [false, true] {
        let folder = Folder::new();
        let engine = postgres(&folder, 0).await;
        let plan = plan(&engine, new_cluster());
        ready(&engine, &plan).await;
        user(&engine, plan.cluster, "max").await;
        let data = report(&folder.engine()).unwrap().remove(0).data;
        let control = control(&folder, &engine, plan.cluster, "postgres").await;
        control.batch_execute(FORMER).await.unwrap();
        fs::remove_file(data.join("ootheca-privileges")).unwrap();
        assert!(sql(&engine, plan.cluster, "max", "postgres").await.is_err());
        drop(control);
        engine.close(detach).await;
        drop(engine);

        let engine = postgres(&folder, 0).await;
        ready(&engine, &plan).await;
        // The privileges of an adopted server change while it is used.
        until("privileges", || async { data.join("ootheca-privileges").exists().then_some(()) }).await;
        let max = sql(&engine, plan.cluster, "max", "postgres").await.unwrap();
        creates_nothing(&max).await;
        engine.close(false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_postgres_do_not_block_administration() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    for name in ["max", "zoe"] {
        user(&engine, plan.cluster, name).await;
    }
    let max = sql(&engine, plan.cluster, "max", "postgres").await.unwrap();
    max.batch_execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO admin").await.unwrap();
    let zoe = sql(&engine, plan.cluster, "zoe", "postgres").await.unwrap();
    zoe.batch_execute("ALTER ROLE admin NOCREATEDB; SELECT pg_advisory_lock(1)").await.unwrap();
    let mut admin = engine.admin(plan.cluster).await.unwrap();
    let deleted = tokio::time::timeout(std::time::Duration::from_secs(20), admin.delete_user("max"));
    deleted.await.expect("in time").unwrap();
    drop((zoe, admin));
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_temporary_files_of_tenants_are_limited() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    user(&engine, plan.cluster, "max").await;
    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    let flood = "SET debug_print_parse = on; \
                 DO $$ BEGIN FOR n IN 1..100 LOOP RAISE LOG '%', repeat('x', 100000); END LOOP; END $$";
    max.batch_execute(flood).await.unwrap();
    let log = report(&folder.engine()).unwrap()[0].data.with_file_name("log");
    let text = fs::read_to_string(log).unwrap();
    assert!(text.len() < 10_000, "{} bytes", text.len());
    assert!(text.contains("ready to accept connections"), "{text}");
    let row = max.query_one("SHOW temp_file_limit", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "1GB");
    drop(max);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_can_manage_their_cluster() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    for name in ["max", "zoe"] {
        user(&engine, plan.cluster, name).await;
    }
    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    max.batch_execute("CREATE TABLE t (n int)").await.unwrap();
    max.batch_execute("CREATE DATABASE own").await.unwrap();
    max.batch_execute(&format!("CREATE ROLE app LOGIN PASSWORD '{}'", PASSWORD.replace('\'', "''")))
        .await
        .unwrap();
    max.batch_execute("GRANT admin TO app").await.unwrap();
    let own = sql(&engine, plan.cluster, "max", "own").await.unwrap();
    own.batch_execute("CREATE SCHEMA s; CREATE TABLE s.t (n int); CREATE TABLE t2 (n int)").await.unwrap();
    for name in ["zoe", "app"] {
        let other = sql(&engine, plan.cluster, name, "own").await.unwrap();
        other
            .batch_execute(&format!("CREATE TABLE of_{name} (n int); INSERT INTO s.t VALUES (1)"))
            .await
            .unwrap();
    }

    let mut admin = engine.admin(plan.cluster).await.unwrap();
    assert_eq!(admin.users().await.unwrap(), ["app", "max", "zoe"]);
    assert_eq!(admin.count_tables(&["own".to_owned()]).await.unwrap(), [Some(4)]);
    // A database is renamed with its sessions ended.
    admin.rename_database("own", "mine").await.unwrap();
    assert!(own.simple_query("SELECT 1").await.is_err());
    admin.rename_database("mine", "own").await.unwrap();
    // A user is dropped with its sessions, and its objects are kept.
    admin.delete_user("max").await.unwrap();
    assert!(max.simple_query("SELECT 1").await.is_err());
    assert_eq!(admin.users().await.unwrap(), ["app", "zoe"]);
    let zoe = sql(&engine, plan.cluster, "zoe", "own").await.unwrap();
    zoe.batch_execute("ALTER TABLE s.t ADD m int").await.unwrap();
    admin.drop_database("own").await.unwrap();
    admin.set_password("zoe", "another password").await.unwrap();
    assert!(sql(&engine, plan.cluster, "zoe", "defaultdb").await.is_err());
    drop((own, zoe, admin));
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_reachable_only_through_their_socket() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    let instance = report(&folder.engine()).unwrap().remove(0);
    let processes = processes_below(&instance.data);
    assert!(processes.len() > 3);
    for pid in processes {
        // A running server occasionally ends one of its processes.
        let Ok(process) = fs::metadata(format!("/proc/{pid}")) else { continue };
        assert_ne!(process.uid(), 0, "no process is root");
        assert!(tcp_sockets(pid).is_empty(), "no process listens");
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&environment).contains("CARGO"), "the environment is not inherited");
    }
    let socket = engine.endpoint(plan.cluster).await.unwrap();
    let modes = [
        (socket.parent().unwrap().to_owned(), 0o700),
        (instance.data.clone(), 0o700),
        (instance.data.with_file_name("plan.json"), 0o600),
        (instance.data.with_file_name("log"), 0o600),
        (folder.engine().join("control-secret"), 0o600),
    ];
    for (path, mode) in modes {
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{}", path.display());
    }
    for (path, _) in files(&instance.data) {
        // A running server occasionally removes temporary files.
        let Ok(data) = fs::metadata(&path) else { continue };
        assert_ne!(data.uid(), 0, "{}", path.display());
        assert_eq!(data.mode() & 0o077, 0, "{}", path.display());
    }
    engine.close(false).await;
}

#[test]
fn errors_of_invalid_settings_contain_instructions() {
    let folder = Folder::new();
    let long = Settings { folder: folder.engine().join("x".repeat(90)), ..Settings::default() };
    fs::create_dir_all(folder.engine()).unwrap();
    let engine = PostgresEngine::new(long).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(engine.open()).unwrap_err();
    assert!(error.message().contains("too long") && error.message().contains("xxx"), "{error}");
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let settings = Settings { user: Some("no-such-user".to_owned()), ..Settings::default() };
        let error = PostgresEngine::new(settings).unwrap_err();
        assert!(error.message().contains("useradd --system"), "{error}");
        let root = Settings { user: Some("root".to_owned()), ..Settings::default() };
        assert!(PostgresEngine::new(root).is_err());
    }
    let missing = Settings { launcher: Some("/no/such/launcher".into()), ..Settings::default() };
    let error = PostgresEngine::new(missing).unwrap_err();
    assert!(error.message().contains("engine.sandbox: PostgreSQL"), "{error}");
    let failing =
        Settings { launcher: Some("/bin/false".into()), folder: folder.engine(), ..Settings::default() };
    let error = runtime.block_on(PostgresEngine::new(failing).unwrap().open()).unwrap_err();
    assert!(error.message().contains("engine.sandbox: PostgreSQL"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_sandbox_refuses_several_nodes_unless_their_user_is_their_own() {
    let folder = Folder::new();
    let mut found = Vec::new();
    for sandbox_strict in [false, true] {
        let launcher = Some("/bin/false".into());
        let engine =
            PostgresEngine::new(Settings { launcher, sandbox_strict, ..settings(&folder, 0) }).unwrap();
        found.push(engine.capabilities().nodes_unavailable);
        engine.open().await.expect_err("its launcher starts nothing");
    }
    assert_eq!(found[0], None);
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let reason = found[1].as_deref().expect("a reason");
        assert!(reason.contains("engine.sandbox is \"strict\"") && reason.contains("root"), "{reason}");
    }
}

fn files(folder: &std::path::Path) -> Vec<(PathBuf, bool)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder {
            found.extend(files(&entry.path()));
        }
        found.push((entry.path(), is_folder));
    }
    found
}

/// The inodes of a process's listening TCP sockets.
fn tcp_sockets(pid: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = links.filter_map(|entry| fs::read_link(entry.path()).ok());
    let inodes: Vec<String> = targets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default());
    let listening = tables.iter().flat_map(|table| table.lines()).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(3) == Some(&"0A")).then(|| (*fields.get(9).unwrap_or(&"")).to_owned())
    });
    listening.filter(|inode| inodes.contains(inode)).collect()
}
