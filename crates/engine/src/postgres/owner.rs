//! The user that owns the server processes and their files. It is never root.

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

#[derive(Clone, Debug)]
pub(super) struct Owner {
    name: String,
    /// The user and group to switch to; `None` if this process does not run as root.
    switch: Option<(u32, u32)>,
}

impl Owner {
    /// Returns the named unprivileged user if this process runs as root, otherwise the user of this process.
    pub(super) fn find(name: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { name: name.to_owned(), switch: None });
        }
        let users = fs::read_to_string("/etc/passwd").map_err(failed("read", Path::new("/etc/passwd")))?;
        let (user, group) = look_up(&users, name).ok_or_else(|| {
            Error::precondition(format!(
                "engine.user: SQL servers never run as root, and the user {name:?} does not exist; create it with: \
                 useradd --system --no-create-home --shell /usr/sbin/nologin {name}"
            ))
        })?;
        if user == 0 {
            return Err(Error::precondition(format!(
                "engine.user: {name:?} is root; use an unprivileged user"
            )));
        }
        Ok(Self { name: name.to_owned(), switch: Some((user, group)) })
    }

    /// The mode of folders that this process owns and the servers must be able to traverse.
    pub(super) fn traversal_mode(&self) -> u32 {
        if self.switch.is_some() { 0o711 } else { 0o700 }
    }

    /// Changes the owner of a file or folder to the servers' user.
    pub(super) fn chown(&self, path: &Path) -> Result<()> {
        match self.switch {
            Some((user, group)) => {
                chown(path, Some(user), Some(group)).map_err(failed("change the owner of", path))
            }
            None => Ok(()),
        }
    }

    /// A command that runs as the servers' user, with an empty environment except for PATH and LC_ALL.
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
            let data = fs::metadata(part).map_err(failed("inspect", part))?;
            let bit = match () {
                () if data.uid() == user => 0o100,
                () if data.gid() == group => 0o010,
                () => 0o001,
            };
            if data.mode() & bit == 0 {
                return Err(Error::precondition(format!(
                    "data_dir: the user {:?}, which runs the SQL servers, cannot access {}; \
                     use another data folder, for example /var/lib/ootheca, or run: chmod a+x {}",
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
