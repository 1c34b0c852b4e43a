//! Who owns the server processes and their files: never root.

use crate::files::failed;
use ootheca_model::{Error, Result};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

/// The user of the server processes.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    name: String,
    /// User and group to change to; `None` where this process is no root itself.
    switch: Option<(u32, u32)>,
}

impl Owner {
    /// Under root the named unprivileged user, else the user of this process.
    pub(super) fn find(name: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { name: name.to_owned(), switch: None });
        }
        let users = fs::read_to_string("/etc/passwd").map_err(failed("read", Path::new("/etc/passwd")))?;
        let (user, group) = look_up(&users, name).ok_or_else(|| {
            Error::precondition(format!(
                "engine.user: SQL servers never run as root, and there is no user {name:?}; make it with: \
                 useradd --system --no-create-home --shell /usr/sbin/nologin {name}"
            ))
        })?;
        if user == 0 {
            return Err(Error::precondition(format!(
                "engine.user: {name:?} is root; name an unprivileged user"
            )));
        }
        Ok(Self { name: name.to_owned(), switch: Some((user, group)) })
    }

    /// Mode of folders that are ours but that the servers must pass through.
    pub(super) fn passage(&self) -> u32 {
        if self.switch.is_some() { 0o711 } else { 0o700 }
    }

    /// Gives a file or folder to the servers' user.
    pub(super) fn give(&self, path: &Path) -> Result<()> {
        match self.switch {
            Some((user, group)) => chown(path, Some(user), Some(group)).map_err(failed("give away", path)),
            None => Ok(()),
        }
    }

    /// A command that runs as that user, with nothing of our environment.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").stdin(Stdio::null());
        if let Some((user, group)) = self.switch {
            command.uid(user).gid(group);
        }
        command
    }

    /// Checks that the servers' user can reach a folder.
    pub(super) fn check_reach(&self, folder: &Path) -> Result<()> {
        let Some((user, group)) = self.switch else { return Ok(()) };
        for part in folder.ancestors() {
            let data = fs::metadata(part).map_err(failed("look at", part))?;
            let bit = match () {
                () if data.uid() == user => 0o100,
                () if data.gid() == group => 0o010,
                () => 0o001,
            };
            if data.mode() & bit == 0 {
                return Err(Error::precondition(format!(
                    "data_dir: the user {:?}, who runs the SQL servers, can not pass through {}: \
                     choose another data folder, for example /var/lib/ootheca, or: chmod a+x {}",
                    self.name,
                    part.display(),
                    part.display()
                )));
            }
        }
        Ok(())
    }
}

fn look_up(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
