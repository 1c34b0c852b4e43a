//! Settings, folders, programs, and the machine's secret: what every part of the driver uses.

use super::{
    Settings, binaries,
    binaries::Programs,
    cgroup::{Bounds, Cgroups},
    control_secret::{cluster_secret, recorded},
    owner::Owner,
    owners::{self, Owners},
    sandbox::Sandbox,
    shell::Shell,
};
use crate::files::{failed, make_folder, names_in, remove_tree, write_atomically};
use ootheca_model::{ClusterId, Error, Result, hex};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tokio::sync::{broadcast, watch};

/// The superuser that only this driver uses.
pub(super) const CONTROL_USER: &str = "ootheca";
/// The name of a server's socket in its folder.
pub(super) const SOCKET: &str = ".s.PGSQL.5432";
const SECRET: &str = "control-secret";
/// The longest path of a Unix socket, without the terminating zero byte.
const MAX_SOCKET_PATH: usize = 107;

/// Processes of a server besides those of its sessions, with room for parallel queries and vacuum.
const SERVER_PROCESSES: u32 = 64;

/// Whether the engine is to shut down, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shutdown {
    NotRequested,
    /// Stop the servers with a checkpoint.
    Fast,
    /// Stop the servers without waiting for a checkpoint.
    Immediate,
}

#[derive(Debug)]
pub(super) struct EngineContext {
    pub(super) settings: Settings,
    /// The user of the templates, and of all instances that do not have their own.
    pub(super) owner: Owner,
    pub(super) owners: Owners,
    /// `None` if servers are started without a sandbox.
    pub(super) sandbox: Option<Sandbox>,
    /// Installed major versions, newest first.
    pub(super) programs: Vec<Programs>,
    pub(super) cgroups: Cgroups,
    /// The limits of every instance.
    pub(super) bounds: Bounds,
    pub(super) hints: broadcast::Sender<ClusterId>,
    pub(super) shutdown: watch::Sender<Shutdown>,
    folder: OnceLock<PathBuf>,
    secret: OnceLock<String>,
    pub(super) shell: Shell,
}

impl EngineContext {
    pub(super) fn new(settings: Settings) -> Result<Self> {
        let owner = Owner::find(settings.user.as_deref().unwrap_or(CONTROL_USER))?;
        let owners = Owners::find(&settings.uid_range)?;
        let programs = binaries::find(&settings.programs, &owner);
        let Some(newest) = programs.first() else {
            return Err(Error::precondition(
                "found no PostgreSQL server (14 or newer) in /usr/lib/postgresql/*/bin, PATH, or engine.programs; \
                 install one, for example: apt-get install postgresql",
            ));
        };
        let sandbox = match &settings.launcher {
            Some(launcher) => Some(Sandbox::start_check(launcher, &settings.sandbox_paths, &owner, newest)?),
            None => None,
        };
        let bounds = Bounds {
            memory_bytes: machine_memory().saturating_mul(settings.memory_percent.into()) / 100,
            processes: settings.max_connections.saturating_add(SERVER_PROCESSES),
        };
        Ok(Self {
            settings,
            owner,
            owners,
            sandbox,
            programs,
            cgroups: Cgroups::find(),
            bounds,
            hints: broadcast::channel(1024).0,
            shutdown: watch::channel(Shutdown::NotRequested).0,
            folder: OnceLock::new(),
            secret: OnceLock::new(),
            shell: Shell::default(),
        })
    }

    /// Creates the folders, and reads or generates the machine's secret. Does not block for long.
    pub(super) fn open(&self) -> Result<()> {
        let path = &self.settings.folder;
        make_folder(path, self.owner.traversal_mode())?;
        // Processes are identified by their working directory, which the kernel reports with symbolic links
        // resolved.
        let folder = fs::canonicalize(path).map_err(failed("resolve", path))?;
        check_socket_path(&folder)?;
        self.owner.check_reach(&folder)?;
        if let Some(sample) = self.owners.sample() {
            sample.check_reach(&folder)?;
        }
        self.owners.check_nodes(&folder);
        let secret = machine_secret(&folder)?;
        for name in ["templates", "instances", "run", "trash"] {
            make_folder(&folder.join(name), self.owner.traversal_mode())?;
        }
        if let Some(sandbox) = &self.sandbox {
            sandbox.finish_check()?;
        }
        let _ = (self.folder.set(folder), self.secret.set(secret));
        self.owners.load(&[self.instances(), self.trash()]);
        Ok(())
    }

    /// The user of an instance that is being created. If it has its own, its ID is recorded with the instance.
    pub(super) fn new_owner(&self, id: &str, instance: &Path) -> Result<Owner> {
        self.assign_owner(id, instance, owners::record_new)
    }

    /// The same for an existing instance.
    pub(super) fn owner_of(&self, id: &str, instance: &Path) -> Result<Owner> {
        self.assign_owner(id, instance, owners::record)
    }

    fn assign_owner(
        &self,
        id: &str,
        instance: &Path,
        record: impl FnOnce(&Path, u32) -> Result<()>,
    ) -> Result<Owner> {
        let Some(uid) = self.owners.assign(id, instance)? else { return Ok(self.owner.clone()) };
        record(instance, uid)?;
        Ok(Owner::with_id(uid))
    }

    fn folder(&self) -> &Path {
        self.folder.get().unwrap_or(&self.settings.folder)
    }

    pub(super) fn templates(&self) -> PathBuf {
        self.folder().join("templates")
    }

    pub(super) fn instances(&self) -> PathBuf {
        self.folder().join("instances")
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.folder().join("trash")
    }

    /// The folder with one folder of sockets for each server.
    pub(super) fn run(&self) -> PathBuf {
        self.folder().join("run")
    }

    /// Returns the machine's secret, which is the control password of templates and spares. `Unavailable` before
    /// `open`.
    pub(super) fn secret(&self) -> Result<&str> {
        self.secret.get().map(String::as_str).ok_or_else(|| Error::unavailable("the engine is not open yet"))
    }

    /// Returns the control password of the instance with these sockets.
    pub(super) fn secret_of(&self, sockets: &Path) -> Result<String> {
        let machine = self.secret()?;
        let folder = self.instances().join(sockets.file_name().unwrap_or_default());
        Ok(recorded(&folder).map_or_else(|| machine.to_owned(), |cluster| cluster_secret(machine, cluster)))
    }

    /// Returns the programs of a major version. `Precondition` if it is not installed.
    pub(super) fn programs(&self, major: &str) -> Result<&Programs> {
        self.programs.iter().find(|programs| programs.major.to_string() == major).ok_or_else(|| {
            let installed: Vec<String> = self.programs.iter().map(|p| p.major.to_string()).collect();
            Error::precondition(format!(
                "PostgreSQL {major} is not installed on this machine; installed: {}",
                installed.join(", ")
            ))
        })
    }

    /// Whether the engine is shutting down.
    pub(super) fn closing(&self) -> bool {
        *self.shutdown.borrow() != Shutdown::NotRequested
    }

    /// Notifies subscribers that the instance of a cluster changed.
    pub(super) fn hint(&self, cluster: Option<ClusterId>) {
        if let Some(cluster) = cluster {
            let _ = self.hints.send(cluster);
        }
    }
}

/// The memory of the machine in bytes.
fn machine_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib.saturating_mul(1024))
}

fn check_socket_path(folder: &Path) -> Result<()> {
    let longest = folder.join("run").join("123456789012").join(SOCKET);
    let length = longest.as_os_str().len();
    if length < MAX_SOCKET_PATH {
        return Ok(());
    }
    Err(Error::precondition(format!(
        "data_dir: the path of {} is too long; the paths of sockets in it would have {length} bytes, and the maximum is {}",
        folder.display(),
        MAX_SOCKET_PATH - 1
    )))
}

fn machine_secret(folder: &Path) -> Result<String> {
    let path = folder.join(SECRET);
    match fs::read_to_string(&path) {
        Ok(secret) if secret.len() == 64 => return Ok(secret),
        Ok(_) => return Err(Error::internal(format!("{} is corrupted", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", &path)(error)),
    }
    if !names_in(&folder.join("instances")).is_empty() {
        return Err(Error::internal(format!("{} is missing and the SQL servers require it", path.display())));
    }
    let secret = hex::encode(&rand::random::<[u8; 32]>());
    write_atomically(folder, SECRET, secret.as_bytes())?;
    // Existing templates contain another password and cannot be used.
    remove_tree(&folder.join("templates"))?;
    Ok(secret)
}

/// Returns a random instance ID of 12 characters.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..12].to_owned()
}
