//! `ootheca recover` is killed after its first side effect, its second, and so on, until it finishes. Repeating it leads to
//! all clusters, and the repository is only read.

use super::{Elsewhere, failure, printed, restores};
use crate::{
    backups::shared::{HOUR, LIMIT, backup_after, databases, furnish, now},
    crash::{ENOUGH, KILLED, SAID, VARIABLE},
    support::{PROGRAM, advance},
};
use ootheca_testkit::{Engine, Ootheca, eventually_within};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What a directory that is not empty is refused with.
const NOT_EMPTY: &str = "data_dir: must be an empty directory";

/// An installation of which only the repository is left, and a copy of that.
struct LostInstallation {
    server: Ootheca,
    elsewhere: Elsewhere,
    clusters: [String; 2],
    copy: PathBuf,
}

impl LostInstallation {
    fn new() -> Self {
        let (elsewhere, mut server) = Elsewhere::boot(Engine::Simulated);
        let clusters =
            ["some-cluster", "other-cluster"].map(|name| furnish(&server, Engine::Simulated, name));
        let before = now(&server);
        advance(&server, HOUR);
        for cluster in &clusters {
            backup_after(&server, cluster, &before);
        }
        elsewhere.lose(&mut server);
        let copy = elsewhere.0.path().join("copy");
        copy_folder(&elsewhere.repository(), &copy);
        Self { server, elsewhere, clusters, copy }
    }

    /// Recovers the installation. The command is killed after this effect.
    fn recover_until(&self, effect: usize) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(["recover", "--json", "--url", &self.elsewhere.url(), "--data-dir"]);
        command.arg(self.server.data_dir()).args(["--key-file", &self.elsewhere.key_file()]);
        command.env(VARIABLE, effect.to_string()).stdin(Stdio::null());
        command.output().expect("the program starts")
    }

    /// Repeats a recovery that was killed, as the documentation says.
    #[track_caller]
    fn repeat(&self) {
        let repeated = self.elsewhere.recover(&self.server);
        if repeated.status.success() {
            return;
        }
        let message = failure(&repeated);
        assert!(message.contains(NOT_EMPTY), "{message}");
        // With the store, the recovery is complete.
        if !self.server.data_dir().join("store.db").exists() {
            fs::remove_dir_all(self.server.data_dir()).expect("the content is removed");
            printed(&self.elsewhere.recover(&self.server));
        }
    }

    /// Asserts that the server restores all clusters. Then everything is lost again.
    #[track_caller]
    fn is_recovered(&mut self) {
        assert!(contents(&self.elsewhere.repository()) == contents(&self.copy), "the repository has changed");
        self.server.start();
        for cluster in &self.clusters {
            eventually_within(LIMIT, "the cluster is restored", || {
                (restores(&self.server, cluster)[0]["status"] == "SUCCESS").then_some(())
            });
            self.server.when_created(cluster);
            assert_eq!(databases(&self.server, cluster), ["app", "defaultdb"]);
        }
        self.server.terminate();
        fs::remove_dir_all(self.server.data_dir()).expect("the data directory is removed");
        fs::remove_dir_all(self.elsewhere.repository()).expect("the repository is removed");
        copy_folder(&self.copy, &self.elsewhere.repository());
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp starts");
    assert!(copied.success(), "{} is not copied", from.display());
}

/// The content of all files below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("a path below it").to_owned();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

#[test]
fn a_recovery_can_be_repeated_after_a_crash() {
    let mut lost = LostInstallation::new();
    let mut effects = Vec::new();
    for effect in 1..=ENOUGH {
        let output = lost.recover_until(effect);
        let was_killed = output.status.signal() == Some(KILLED);
        if was_killed {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let line = text.lines().find_map(|line| line.split_once(SAID));
            effects.push(line.map(|(_, name)| name.to_owned()).expect("it says after which effect"));
            lost.repeat();
        } else {
            printed(&output);
        }
        lost.is_recovered();
        if !was_killed {
            println!("recovery: killed after {}", effects.join(", "));
            for name in ["copy of the control store stored", "store commit", "recovered store published"] {
                assert!(effects.iter().any(|effect| effect == name), "{name}: {effects:?}");
            }
            return;
        }
    }
    panic!("more than {ENOUGH} effects");
}
