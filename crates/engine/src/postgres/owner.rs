//! A user that owns server processes and their files. It is never root.

use crate::files::failed;
use ootheca_model::{Error, Result};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, openat};
use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{MetadataExt, PermissionsExt, chown},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Command, Stdio},
};

/// The depth of folders in a data directory, with room for extensions.
const MAX_DEPTH: u32 = 16;

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

    /// The user and the group with this ID, which need no name. Requires that this process runs as root.
    pub(super) fn with_id(id: u32) -> Self {
        Self { name: id.to_string(), switch: Some((id, id)) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
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

    /// Makes this user the owner of a data directory and of everything in it that belongs to its present owner. No
    /// server may run in it. Returns whether the owner changed. The folder itself is last, so after a crash
    /// everything is repeated.
    ///
    /// No link is followed, because a server with a flaw may have prepared the folder.
    pub(super) fn take_over(&self, data: &Path) -> Result<bool> {
        let Some((user, group)) = self.switch else { return Ok(false) };
        let present = fs::symlink_metadata(data).map_err(failed("inspect", data))?.uid();
        if present == user {
            return Ok(false);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let change = || -> io::Result<()> {
            let folder = rustix::fs::open(data, flags, Mode::empty())?;
            let owner = (Uid::from_raw(user), Gid::from_raw(group));
            hand_over(folder.as_fd(), Uid::from_raw(present), owner, MAX_DEPTH)
        };
        change().map_err(failed("change the owner of", data))?;
        Ok(true)
    }

    /// Lets the group of this user enter a folder that another user owns. Does nothing if the folder is absent.
    pub(super) fn admit(&self, folder: &Path) -> Result<()> {
        let Some((user, group)) = self.switch else { return Ok(()) };
        let present = match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            present => present.map_err(failed("inspect", folder))?,
        };
        if present.uid() == user || present.gid() == group {
            return Ok(());
        }
        // The group last, because it says that nothing is left to do.
        fs::set_permissions(folder, Permissions::from_mode(0o710))
            .map_err(failed("set the mode of", folder))?;
        chown(folder, None, Some(group)).map_err(failed("change the group of", folder))
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
                     use another data directory, for example /var/lib/ootheca, or run: chmod a+x {}",
                    self.name,
                    part.display(),
                    part.display()
                )));
            }
        }
        Ok(())
    }
}

/// Changes the owner of a file or folder that is open, after that of what is in it.
fn hand_over(item: BorrowedFd<'_>, from: Uid, to: (Uid, Gid), depth: u32) -> io::Result<()> {
    let status = fstat(item)?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        let depth = depth.checked_sub(1).ok_or_else(|| io::Error::other("folders are nested too deeply"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::new(openat(item, ".", flags, Mode::empty())?)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = openat(item, entry.file_name(), flags, Mode::empty())?;
            hand_over(inner.as_fd(), from, to, depth)?;
        }
    }
    if status.st_uid == from.as_raw() {
        chownat(item, "", Some(to.0), Some(to.1), AtFlags::EMPTY_PATH)?;
    }
    Ok(())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_another_user_can_enter_a_folder() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        if !rustix::process::geteuid().is_root() {
            Owner { name: "me".to_owned(), switch: None }.admit(&folder).unwrap();
            return;
        }
        let (first, second) = (Owner::with_id(1_234_567), Owner::with_id(1_234_568));
        second.admit(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        first.chown(&folder).unwrap();
        let state = || {
            let found = fs::metadata(&folder).unwrap();
            (found.uid(), found.gid(), found.mode() & 0o777)
        };
        first.admit(&folder).unwrap();
        assert_eq!(state(), (1_234_567, 1_234_567, 0o700), "it is its own");
        for _ in 0..2 {
            second.admit(&folder).unwrap();
            assert_eq!(state(), (1_234_567, 1_234_568, 0o710));
        }
        fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn data_changes_hands_without_what_belongs_to_others() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        let (data, outside) = (folder.join("data"), folder.join("outside"));
        fs::create_dir_all(data.join("base/1")).unwrap();
        for path in [&outside, &data.join("base/1/2"), &data.join("foreign")] {
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        if !rustix::process::geteuid().is_root() {
            let own = Owner { name: "me".to_owned(), switch: None };
            assert!(!own.take_over(&data).unwrap(), "only root can change owners");
            fs::remove_dir_all(&folder).unwrap();
            return;
        }
        let first = Owner::with_id(1_234_567);
        for path in ["", "base", "base/1", "base/1/2"] {
            first.chown(&data.join(path)).unwrap();
        }
        std::os::unix::fs::lchown(data.join("link"), Some(1_234_567), None).unwrap();
        assert!(!first.take_over(&data).unwrap(), "it is its own");
        let second = Owner::with_id(1_234_568);
        assert!(second.take_over(&data).unwrap());
        for path in ["", "base", "base/1", "base/1/2", "link"] {
            assert_eq!(owner(&data.join(path)), 1_234_568, "{path}");
        }
        assert_eq!((owner(&outside), owner(&data.join("foreign"))), (0, 0), "not its own");

        fs::create_dir_all(data.join("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17")).unwrap();
        let error = first.take_over(&data).unwrap_err();
        assert!(error.message().contains("nested too deeply"), "{error}");
        assert_eq!(owner(&data), 1_234_568, "the folder itself is last");
        fs::remove_dir_all(&folder).unwrap();
    }
}
