//! Limits the files that this process can use, and TCP, signals, and sockets with them, by Landlock.

use super::Access;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, make_bitflags, path_beneath_rules,
};
use std::path::PathBuf;

/// The newest version whose restrictions are used. Kernels with an older version enforce a part of them.
const VERSION: ABI = ABI::V9;

/// Denies everything that is not listed. Returns the version of Landlock in the kernel, which is 0 if nothing
/// is enforced.
pub(super) fn restrict(files: &[(Access, PathBuf)]) -> Result<u32, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?;
    for (access, path) in files {
        rules = rules.add_rules(path_beneath_rules([path], access.rights()))?;
    }
    Ok(match rules.restrict_self()?.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            let known = || effective_abi.to_string().parse().unwrap_or_default();
            kernel_abi.and_then(|version| version.try_into().ok()).unwrap_or_else(known)
        }
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    })
}

impl Access {
    /// None of them allows symbolic links: the control plane follows the paths of sockets and files of a server.
    fn rights(self) -> BitFlags<AccessFs> {
        match self {
            Self::Execute => make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir}),
            Self::Read => make_bitflags!(AccessFs::{ReadFile | ReadDir}),
            Self::Update => make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile}),
            Self::Data => make_bitflags!(AccessFs::{
                ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
            }),
            Self::Sockets => make_bitflags!(AccessFs::{
                ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeSock | RemoveFile
            }),
            Self::Connect => AccessFs::ResolveUnix.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn connections_are_limited_to_the_allowed_paths() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let [allowed, other] = ["allowed", "other"].map(|name| folder.join(name));
        let listeners = [&allowed, &other].map(|path| {
            std::fs::create_dir_all(path).expect("a folder");
            UnixListener::bind(path.join("s")).expect("a socket")
        });
        let restricted = std::thread::spawn(move || {
            if restrict(&[(Access::Connect, allowed.clone())]).expect("applied") < 9 {
                eprintln!("skipped: the kernel does not limit connections by their path");
                return;
            }
            UnixStream::connect(allowed.join("s")).expect("connected");
            let error = UnixStream::connect(other.join("s")).expect_err("not allowed");
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
        });
        restricted.join().expect("it holds");
        drop(listeners);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
