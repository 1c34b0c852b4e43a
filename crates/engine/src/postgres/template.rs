//! Templates: one initialized data directory for each version. A cluster is a copy of its template.
//!
//! A template is created under a temporary name, synced, and then published by one rename, so a visible
//! template is always complete.

use super::copy::make_private_folder;
use super::{
    binaries::Programs,
    context::{CONTROL_USER, EngineContext, Shutdown, new_id},
    deadline::within_deadline,
    privileges, process,
    server::{self, LaunchSpec, StopMode},
    shared_memory,
};
use crate::files::{blocking, failed, make_folder, names_in, remove_tree, sync_file_system, sync_folder};
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

const UNFINISHED: &str = "new-";

/// The settings of every server. The `engine` section of the settings file is passed on the command line.
const CONFIGURATION: &str = "\
# Written by Ootheca for its template. Clusters read no other settings file.
listen_addresses = ''
password_encryption = scram-sha-256
ssl = off
# After a crash, sync the file system once instead of syncing each file.
recovery_init_sync_method = syncfs
# A killed server must not leave anything outside its folder.
dynamic_shared_memory_type = mmap
huge_pages = off
jit = off
# Keep idle servers small. Logical replication is not used, and few clusters write much at once. The other
# limit of WAL is passed on the command line.
max_logical_replication_workers = 0
wal_buffers = 256kB
min_wal_size = 8MB
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
# The log is for the operator and must not contain statements of tenants or password verifiers.
logging_collector = off
log_destination = stderr
log_line_prefix = '%m [%p] '
log_min_messages = log
log_min_error_statement = panic
log_statement = none
log_checkpoints = off
";

/// Keeps recycled WAL segments out of the template, because every cluster would copy them.
const INITIAL_WAL: [&str; 2] = ["wal_recycle=off", "min_wal_size=2MB"];

/// The file with the rules for connections.
pub(super) const ACCESS_FILE: &str = "pg_hba.conf";
pub(super) const ACCESS: &str =
    "# Written by Ootheca. Allows Unix sockets with SCRAM only.\nlocal all all scram-sha-256\n";

/// Runs in `postgres`. Up to PostgreSQL 15, a role with CREATEROLE can grant the three predefined roles that
/// access files and programs of the server, and thereby other tenants. Therefore they are deleted.
const ROLES: &str = "
CREATE ROLE admin NOLOGIN CREATEDB CREATEROLE;
GRANT pg_read_all_data, pg_write_all_data TO admin;
DELETE FROM pg_catalog.pg_authid
    WHERE rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files');
";

/// Runs in `template1`, so that it applies to every new database.
const SCHEMAS: &str = "GRANT USAGE, CREATE ON SCHEMA public TO admin;";

const DATABASE: &str = "CREATE DATABASE defaultdb OWNER admin";

/// Runs in `defaultdb`, so that the work on the template does not count as usage of its clusters.
const COUNTERS: &str = "SELECT pg_stat_reset(); SELECT pg_stat_reset_shared('wal');";

/// Returns the name of the template for these programs. It depends on everything that the template is made
/// from.
pub(super) fn name(programs: &Programs) -> String {
    let parts = [
        CONFIGURATION,
        ACCESS,
        ROLES,
        SCHEMAS,
        DATABASE,
        privileges::STATEMENTS,
        COUNTERS,
        programs.version.as_str(),
        INITIAL_WAL[0],
    ];
    format!("pg{}-{:016x}", programs.major, fingerprint(&parts))
}

/// FNV-1a, because the standard hasher may change between releases.
pub(super) fn fingerprint(parts: &[&str]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The data directory of an existing template.
pub(super) fn existing(context: &EngineContext, programs: &Programs) -> Option<PathBuf> {
    let data = context.templates().join(name(programs)).join("data");
    data.is_dir().then_some(data)
}

/// Returns the data directory of the template, and creates the template if it does not exist. Must not be called
/// concurrently.
pub(super) async fn ensure(context: &Arc<EngineContext>, programs: &Programs) -> Result<PathBuf> {
    if let Some(data) = existing(context, programs) {
        return Ok(data);
    }
    tracing::info!(version = programs.version, "creating template");
    clear_unfinished(context).await?;
    let id = new_id();
    let (folder, sockets) = (context.templates().join(format!("{UNFINISHED}{id}")), context.run().join(&id));
    let made = make(context, programs, &folder, &sockets).await;
    let cleared = blocking({
        let sockets = sockets.clone();
        move || remove_tree(&sockets)
    })
    .await;
    if let Err(error) = made {
        let _ = clear_unfinished(context).await;
        return Err(error.context(format!("template of {}", programs.version)));
    }
    cleared?;
    let (from, to) = (folder, context.templates().join(name(programs)));
    blocking(move || {
        sync_file_system(&from)?;
        fs::rename(&from, &to).map_err(failed("publish", &to))?;
        sync_folder(to.parent().unwrap_or(&to))
    })
    .await?;
    failpoint::reach("template published");
    existing(context, programs).ok_or_else(|| Error::internal("the template disappeared"))
}

/// Removes unfinished templates that a crash has left, including their processes.
async fn clear_unfinished(context: &EngineContext) -> Result<()> {
    for name in names_in(&context.templates()).into_iter().filter(|name| name.starts_with(UNFINISHED)) {
        let folder = context.templates().join(&name);
        process::clear(&folder.join("data"), Duration::ZERO).await;
        shared_memory::free(&folder.join("data"));
        let sockets = context.run().join(name.trim_start_matches(UNFINISHED));
        blocking(move || remove_tree(&folder).and_then(|()| remove_tree(&sockets))).await?;
    }
    Ok(())
}

/// Removes templates of programs that are no longer installed or of other settings.
pub(super) fn clear_outdated(context: &EngineContext) {
    let current: Vec<String> = context.programs.iter().map(name).collect();
    for name in names_in(&context.templates()) {
        if !name.starts_with(UNFINISHED) && !current.contains(&name) {
            let _ = remove_tree(&context.templates().join(name));
        }
    }
}

async fn make(
    context: &Arc<EngineContext>,
    programs: &Programs,
    folder: &Path,
    sockets: &Path,
) -> Result<()> {
    let data = folder.join("data");
    blocking({
        let (context, programs, folder, data) =
            (context.clone(), programs.clone(), folder.to_owned(), data.clone());
        move || initialize(&context, &programs, &folder, &data)
    })
    .await?;
    let log = folder.join("log");
    let process = server::spawn(
        context,
        &LaunchSpec {
            programs,
            owner: &context.owner,
            data: &data,
            sockets,
            log: &log,
            spool: None,
            connect: false,
            options: &INITIAL_WAL,
        },
    )?;
    let result = async {
        server::ready(&process, &data, context.settings.ready_timeout).await?;
        within_deadline(bootstrap(context, sockets)).await
    }
    .await;
    // The template always needs a clean shutdown, even while the engine shuts down.
    let (_keep, no_shutdown) = watch::channel(Shutdown::NotRequested);
    let mode = if result.is_err() { StopMode::Immediate } else { StopMode::Fast };
    server::stop(&process, &data, no_shutdown, mode).await;
    result
}

fn initialize(context: &EngineContext, programs: &Programs, folder: &Path, data: &Path) -> Result<()> {
    make_folder(folder, context.owner.traversal_mode())?;
    let secret = folder.join("secret");
    let write = || -> io::Result<()> {
        use io::Write;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&secret)?
            .write_all(context.secret().map_err(io::Error::other)?.as_bytes())
    };
    write().map_err(failed("write", &secret))?;
    context.owner.chown(&secret)?;
    let mut result = initdb(context, programs, data, &secret, "C.UTF-8");
    if result.is_err() {
        result = initdb(context, programs, data, &secret, "C");
    }
    fs::remove_file(&secret).map_err(failed("remove", &secret))?;
    result?;
    for (name, text) in [("postgresql.conf", CONFIGURATION), (ACCESS_FILE, ACCESS)] {
        let path = data.join(name);
        fs::write(&path, text).map_err(failed("write", &path))?;
    }
    privileges::mark(data)
}

fn initdb(
    context: &EngineContext,
    programs: &Programs,
    data: &Path,
    secret: &Path,
    locale: &str,
) -> Result<()> {
    shared_memory::free(data);
    remove_tree(data)?;
    make_private_folder(data, &context.owner)?;
    let program = programs.program("initdb");
    let output = context
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

async fn bootstrap(context: &EngineContext, sockets: &Path) -> Result<()> {
    let failed = |error: tokio_postgres::Error| {
        Error::internal(format!("cannot initialize the template: {error}")).because(error)
    };
    let control = server::connect(context, sockets, "postgres").await?;
    control.batch_execute(ROLES).await.map_err(failed)?;
    server::connect(context, sockets, "template1").await?.batch_execute(SCHEMAS).await.map_err(failed)?;
    // A database cannot be copied while a session in it is still ending.
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
    control.batch_execute(privileges::STATEMENTS).await.map_err(failed)?;
    server::connect(context, sockets, "defaultdb").await?.batch_execute(COUNTERS).await.map_err(failed)
}
