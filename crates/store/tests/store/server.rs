//! A real PostgreSQL server in a temporary folder, which listens on a socket in it. Dropping it stops the
//! server.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio_postgres::NoTls;

pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    child: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (programs, owner) = (programs(), owner());
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = command(&programs.join("initdb"), folder.path(), owner);
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--username=ootheca", "-D"]).arg(&data);
        let output = initdb.output().expect("initdb should run");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let mut postgres = command(&programs.join("postgres"), folder.path(), owner);
        postgres.arg("-D").arg(&data).arg("-k").arg(folder.path());
        postgres.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"]);
        let child = postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { folder, programs, owner, child };
        let deadline = Instant::now() + Duration::from_secs(30);
        while tokio_postgres::connect(&server.url("postgres"), NoTls).await.is_err() {
            assert!(Instant::now() < deadline, "the PostgreSQL server did not start in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Creates a database with a locale-dependent text order if the server supports one, to detect a store
    /// that relies on the database's default order.
    pub(crate) async fn database(&self, name: &str) -> String {
        let icu = format!(
            "CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'"
        );
        let admin = self.url("postgres");
        if run(&admin, &icu).await.is_err() {
            run(&admin, &format!("CREATE DATABASE {name}")).await.unwrap();
        }
        self.url(name)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=ootheca", self.folder.path().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = command(&self.programs.join("pg_ctl"), self.folder.path(), self.owner);
        stop.arg("-D").arg(self.folder.path().join("data")).args(["-m", "immediate", "-w", "stop"]);
        if !stop.output().is_ok_and(|output| output.status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Runs a statement on a separate connection.
pub(crate) async fn run(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let result = client.batch_execute(sql).await;
    drop(client);
    let _ = connection.await;
    result
}

fn command(program: &Path, folder: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

/// The directory of the server programs: Debian's directory of the newest version, otherwise the one in PATH.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|bin| bin.join("initdb").exists());
    newest.max().or(on_path).expect("these tests need a PostgreSQL server: initdb was not found")
}

/// The user to run the server as if the tests run as root, because the server refuses to run as root.
fn owner() -> Option<(u32, u32)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let me = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?;
    if me != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let user = fields.into_iter().find(|fields| fields[0] == name)?;
        Some((user[2].parse().ok()?, user[3].parse().ok()?))
    };
    Some(find("ootheca").or_else(|| find("postgres")).expect("root needs a user ootheca or postgres"))
}
