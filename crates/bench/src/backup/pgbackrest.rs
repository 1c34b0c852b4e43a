//! pgBackRest with the same tables, on a server of its own: a full and an incremental backup, and a restore without
//! the start of a server. Compressed by zstd and encrypted, in a folder, as our backups are.

use super::{ONE_CHANGE, files, mib};
use crate::{gateway::pgbench, stats::Times};
use ootheca_testkit::{Folder, postgres::TemporaryPostgres};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// The unprivileged user that runs PostgreSQL under root.
const USER: &str = "ootheca";

pub(super) fn is_installed() -> bool {
    Command::new("pgbackrest").arg("version").output().is_ok_and(|output| output.status.success())
}

pub(super) fn run(scale: &str, count: usize) {
    let folder = Folder::new();
    let tool = PgBackRest { folder: folder.path().to_owned() };
    for name in ["repository", "lock", "spool", "restored"] {
        tool.create(name);
    }
    let mut data = PathBuf::new();
    let server = TemporaryPostgres::start_with(|path, command| {
        data = path.to_owned();
        command.envs(tool.environment(path)).args(["-c", "fsync=on", "-c", "shared_buffers=32MB"]);
        command.args([
            "-c",
            "archive_mode=on",
            "-c",
            "archive_command=pgbackrest --no-config archive-push %p",
        ]);
    });
    let port = server.address().port().to_string();
    let target = format!("host=127.0.0.1 port={port} dbname=postgres user=postgres");
    pgbench(&target, &["-i", "-q", "-s", scale]);
    let call = |args: &[&str]| tool.call(&data, &port, args);
    call(&["stanza-create"]);
    let full = Times::of(count, |_| call(&["backup", "--type=full"]));
    let base = mib(files(&tool.folder.join("repository/backup")).iter().map(|(_, bytes)| bytes).sum());
    let incremental = (0..count).map(|_| {
        pgbench(&target, &ONE_CHANGE);
        let start = Instant::now();
        call(&["backup", "--type=incr"]);
        start.elapsed()
    });
    let incremental = Times::from(incremental.collect::<Vec<_>>());
    let restored = tool.folder.join("restored");
    let restores = (0..count).map(|_| {
        fs::remove_dir_all(&restored).expect("removed");
        tool.create("restored");
        let start = Instant::now();
        tool.call(&restored, &port, &["restore"]);
        start.elapsed()
    });
    let restores = Times::from(restores.collect::<Vec<_>>());
    println!("{}", full.line("pgBackRest, full"));
    println!("{}", incremental.line("pgBackRest, incremental after one change"));
    println!("{}", restores.line("pgBackRest, restore without the start"));
    println!("{:<44} {:.1} MiB", "pgBackRest, stored for a full backup", base / count as f64);
}

struct PgBackRest {
    folder: PathBuf,
}

impl PgBackRest {
    /// Creates a folder for the owner of the server.
    fn create(&self, name: &str) {
        let path = self.folder.join(name);
        fs::create_dir(&path).expect("a folder");
        if is_root() {
            let status = Command::new("chown").arg(USER).arg(&path).status().expect("chown starts");
            assert!(status.success(), "chown {USER}: does this user exist?");
        }
    }

    /// The options, for a data directory.
    fn environment(&self, data: &Path) -> [(&'static str, String); 13] {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let fixed = |text: &str| text.to_owned();
        [
            ("PGBACKREST_STANZA", fixed("bench")),
            ("PGBACKREST_PG1_PATH", data.display().to_string()),
            ("PGBACKREST_PG1_USER", fixed("postgres")),
            ("PGBACKREST_REPO1_PATH", at("repository")),
            ("PGBACKREST_REPO1_CIPHER_TYPE", fixed("aes-256-cbc")),
            ("PGBACKREST_REPO1_CIPHER_PASS", fixed("only for this benchmark")),
            ("PGBACKREST_REPO1_RETENTION_FULL", fixed("100")),
            ("PGBACKREST_COMPRESS_TYPE", fixed("zst")),
            ("PGBACKREST_START_FAST", fixed("y")),
            ("PGBACKREST_LOCK_PATH", at("lock")),
            ("PGBACKREST_SPOOL_PATH", at("spool")),
            ("PGBACKREST_LOG_LEVEL_FILE", fixed("off")),
            // It connects by this variable of libpq, because the server has no Unix socket.
            ("PGHOST", fixed("127.0.0.1")),
        ]
    }

    fn call(&self, data: &Path, port: &str, args: &[&str]) {
        let mut command = Command::new(if is_root() { "setpriv" } else { "pgbackrest" });
        if is_root() {
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--", "pgbackrest"]);
        }
        // The file of the package can only be read by another user.
        command
            .arg("--no-config")
            .args(args)
            .envs(self.environment(data))
            .env("PGBACKREST_PG1_PORT", port)
            .current_dir("/");
        let output = command.output().expect("pgbackrest starts");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "pgbackrest {args:?}: {}", String::from_utf8_lossy(&said));
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
