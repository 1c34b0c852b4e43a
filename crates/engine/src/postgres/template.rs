//! Templates: one initialised data folder for each version; a cluster is a copy of it.
//!
//! Made beside, synced, then published by one rename: a template that can be seen is whole.

use super::copy::make_private_folder;
use super::{
    binaries::Programs,
    host::{CONTROL_USER, Haste, Host, new_id},
    process,
    server::{self, End, Place},
};
use crate::files::{blocking, failed, make_folder, names_in, remove_tree, sync_file_system, sync_folder};
use ootheca_model::{Error, Result, effect};
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

const UNFINISHED: &str = "new-";

/// Settings of every server. Those of `engine` in the settings file come on the command line.
const CONFIGURATION: &str = "\
# Written by Ootheca for its template; a cluster never reads another file of settings.
listen_addresses = ''
unix_socket_permissions = 0700
password_encryption = scram-sha-256
ssl = off
# After a crash: one sync of the file system instead of one of each file.
recovery_init_sync_method = syncfs
# A killed server leaves nothing outside its folder.
dynamic_shared_memory_type = mmap
huge_pages = off
jit = off
# A server that only waits should be small: nothing here replicates, and few write much at once.
max_logical_replication_workers = 0
wal_buffers = 256kB
min_wal_size = 8MB
max_wal_size = 512MB
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
# The log is for the operator: no statement of a tenant, no password verifier.
logging_collector = off
log_destination = stderr
log_line_prefix = '%m [%p] '
log_min_messages = log
log_min_error_statement = panic
log_statement = none
log_checkpoints = off
";

/// Keeps spent log segments out of the template: every cluster would copy them.
const LEAN: [&str; 2] = ["wal_recycle=off", "min_wal_size=2MB"];

const ACCESS: &str = "# Written by Ootheca: only sockets, only SCRAM.\nlocal all all scram-sha-256\n";

/// Run in `postgres`. Up to PostgreSQL 15 whoever may create roles may also hand out the three
/// predefined roles that reach files and programs of the server, and so other tenants: they go.
const ROLES: &str = "
CREATE ROLE admin NOLOGIN CREATEDB CREATEROLE;
GRANT pg_read_all_data, pg_write_all_data TO admin;
DELETE FROM pg_catalog.pg_authid
    WHERE rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files');
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
";

/// Run in `template1`, so that it holds in every later database.
const SCHEMAS: &str = "GRANT USAGE, CREATE ON SCHEMA public TO admin;";

const DATABASE: &str = "CREATE DATABASE defaultdb OWNER admin";

/// Run in `defaultdb`: what was done here is no use of the clusters.
const COUNTERS: &str = "SELECT pg_stat_reset(); SELECT pg_stat_reset_shared('wal');";

/// The name of the template of these programs; it changes with all that a template is made from.
pub(super) fn name(programs: &Programs) -> String {
    let parts =
        [CONFIGURATION, ACCESS, ROLES, SCHEMAS, DATABASE, COUNTERS, programs.version.as_str(), LEAN[0]];
    format!("pg{}-{:016x}", programs.major, fingerprint(&parts))
}

/// FNV-1a: the same in every release, which the standard hasher does not promise.
fn fingerprint(parts: &[&str]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The template's data folder, if it is there.
pub(super) fn existing(host: &Host, programs: &Programs) -> Option<PathBuf> {
    let data = host.templates().join(name(programs)).join("data");
    data.is_dir().then_some(data)
}

/// The template's data folder, made if it is not there. One caller at a time.
pub(super) async fn ensure(host: &Arc<Host>, programs: &Programs) -> Result<PathBuf> {
    if let Some(data) = existing(host, programs) {
        return Ok(data);
    }
    tracing::info!(version = programs.version, "making the template");
    clear_unfinished(host).await?;
    let id = new_id();
    let (folder, sockets) = (host.templates().join(format!("{UNFINISHED}{id}")), host.run().join(&id));
    let made = make(host, programs, &folder, &sockets).await;
    let cleared = blocking({
        let sockets = sockets.clone();
        move || remove_tree(&sockets)
    })
    .await;
    if let Err(error) = made {
        let _ = clear_unfinished(host).await;
        return Err(error.context(format!("template of {}", programs.version)));
    }
    cleared?;
    let (from, to) = (folder, host.templates().join(name(programs)));
    blocking(move || {
        sync_file_system(&from)?;
        fs::rename(&from, &to).map_err(failed("publish", &to))?;
        sync_folder(to.parent().unwrap_or(&to))
    })
    .await?;
    effect::done("template published");
    existing(host, programs).ok_or_else(|| Error::internal("the template vanished"))
}

/// Removes what a crash left half-made, its processes first.
async fn clear_unfinished(host: &Host) -> Result<()> {
    for name in names_in(&host.templates()).into_iter().filter(|name| name.starts_with(UNFINISHED)) {
        let folder = host.templates().join(&name);
        process::clear(&folder.join("data"), Duration::ZERO).await;
        let sockets = host.run().join(name.trim_start_matches(UNFINISHED));
        blocking(move || remove_tree(&folder).and_then(|()| remove_tree(&sockets))).await?;
    }
    Ok(())
}

/// Removes templates of programs that are no longer installed, or of other settings.
pub(super) fn clear_outdated(host: &Host) {
    let current: Vec<String> = host.programs.iter().map(name).collect();
    for name in names_in(&host.templates()) {
        if !name.starts_with(UNFINISHED) && !current.contains(&name) {
            let _ = remove_tree(&host.templates().join(name));
        }
    }
}

async fn make(host: &Arc<Host>, programs: &Programs, folder: &Path, sockets: &Path) -> Result<()> {
    let data = folder.join("data");
    blocking({
        let (host, programs, folder, data) =
            (host.clone(), programs.clone(), folder.to_owned(), data.clone());
        move || initialise(&host, &programs, &folder, &data)
    })
    .await?;
    let log = folder.join("log");
    let process = server::spawn(host, &Place { programs, data: &data, sockets, log: &log, options: &LEAN })?;
    let result = async {
        server::ready(&process, &data, host.settings.ready_timeout).await?;
        bootstrap(host, sockets).await
    }
    .await;
    // The template must end orderly, whatever the hurry of the engine.
    let (_keep, calm) = watch::channel(Haste::Open);
    let end = if result.is_err() { End::AtOnce } else { End::Orderly };
    server::stop(&process, &data, calm, end).await;
    result
}

fn initialise(host: &Host, programs: &Programs, folder: &Path, data: &Path) -> Result<()> {
    make_folder(folder, host.owner.passage())?;
    let secret = folder.join("secret");
    let write = || -> io::Result<()> {
        use io::Write;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&secret)?
            .write_all(host.secret().map_err(io::Error::other)?.as_bytes())
    };
    write().map_err(failed("write", &secret))?;
    host.owner.give(&secret)?;
    let mut result = initdb(host, programs, data, &secret, "C.UTF-8");
    if result.is_err() {
        result = initdb(host, programs, data, &secret, "C");
    }
    fs::remove_file(&secret).map_err(failed("remove", &secret))?;
    result?;
    for (name, text) in [("postgresql.conf", CONFIGURATION), ("pg_hba.conf", ACCESS)] {
        let path = data.join(name);
        fs::write(&path, text).map_err(failed("write", &path))?;
    }
    Ok(())
}

fn initdb(host: &Host, programs: &Programs, data: &Path, secret: &Path, locale: &str) -> Result<()> {
    remove_tree(data)?;
    make_private_folder(data, &host.owner)?;
    let program = programs.program("initdb");
    let output = host
        .owner
        .command(&program)
        .args(["--no-sync", "--encoding=UTF8", "--auth=scram-sha-256", "--wal-segsize=1", "--data-checksums"])
        .args([format!("--username={CONTROL_USER}"), format!("--locale={locale}")])
        .arg(format!("--pwfile={}", secret.display()))
        .arg("-D")
        .arg(data)
        .current_dir(data)
        .output()
        .map_err(failed("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(Error::internal(format!("initdb failed ({}): {}", output.status, errors.trim())))
}

async fn bootstrap(host: &Host, sockets: &Path) -> Result<()> {
    let failed =
        |error: tokio_postgres::Error| Error::internal(format!("bootstrap failed: {error}")).because(error);
    let control = server::connect(host, sockets, "postgres").await?;
    control.batch_execute(ROLES).await.map_err(failed)?;
    server::connect(host, sockets, "template1").await?.batch_execute(SCHEMAS).await.map_err(failed)?;
    // A database can not be copied while the session in it is still ending.
    let mut last = control.batch_execute(DATABASE).await;
    for _ in 0..200 {
        match &last {
            Err(error) if error.code().is_some_and(|code| code.code() == "55006") => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                last = control.batch_execute(DATABASE).await;
            }
            _ => break,
        }
    }
    last.map_err(failed)?;
    server::connect(host, sockets, "defaultdb").await?.batch_execute(COUNTERS).await.map_err(failed)
}
