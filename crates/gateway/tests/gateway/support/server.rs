//! A PostgreSQL server in a temporary folder, on a Unix socket only.

use super::{PASSWORD, USER};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

pub(crate) struct PostgresServer {
    folder: TempDir,
    process: Child,
}

impl PostgresServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let owner = owner();
        if let Some((uid, gid)) = owner {
            chown(folder.path(), Some(uid), Some(gid)).expect("chown");
        }
        let command = |name: &str| {
            let mut command = Command::new(program(name));
            command.current_dir(folder.path()).stdin(Stdio::null());
            if let Some((uid, gid)) = owner {
                command.uid(uid).gid(gid);
            }
            command
        };
        let mut initdb = command("initdb");
        initdb.args(["-D", "data", "-U", "ootheca", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"]);
        let created = initdb.output().expect("initdb");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        let rules = "local all ootheca trust\nlocal all all scram-sha-256\n";
        fs::write(folder.path().join("data/pg_hba.conf"), rules).expect("pg_hba.conf");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let socket = folder.path().to_str().expect("a path");
        let process = command("postgres")
            .args(["-D", "data", "-k", socket, "-c", "listen_addresses=", "-c", "fsync=off"])
            .args(["-c", "max_connections=260", "-c", "shared_buffers=16MB"])
            .stderr(log)
            .spawn()
            .expect("postgres");
        let server = Self { folder, process };
        let admin = server.admin().await;
        let user = format!("CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'");
        admin.batch_execute(&user).await.expect("a user");
        for database in ["defaultdb", "\"with.dots\""] {
            let database = format!("CREATE DATABASE {database} OWNER {USER} STRATEGY file_copy");
            admin.batch_execute(&database).await.expect("a database");
        }
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    /// A session of the superuser that bypasses the gateway.
    pub(crate) async fn admin(&self) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).user("ootheca").dbname("postgres");
        for _ in 0..1000 {
            if let Ok((client, connection)) = config.connect(NoTls).await {
                tokio::spawn(connection);
                return client;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let log = fs::read_to_string(self.folder.path().join("log"));
        panic!("the server does not answer: {}", log.unwrap_or_default());
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::INT);
        let _ = self.process.wait();
    }
}

/// A program of PostgreSQL.
pub(crate) fn program(name: &str) -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let found = folders.iter().map(|folder| folder.join(name)).rfind(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed"))
}

/// The user ID and group ID of the server, which must not run as root.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
        Some((fields.next()??, fields.next()??))
    };
    Some(find("ootheca").or_else(|| find("postgres")).expect("a user for the server"))
}
