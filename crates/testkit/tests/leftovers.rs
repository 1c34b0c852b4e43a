//! Tests that the test kit detects leftovers, because a check that cannot fail proves nothing.

use ootheca_testkit::{Folder, eventually, processes};
use std::process::{Command, Stdio};

#[test]
fn processes_are_found_by_working_directory_and_command_line() {
    let folder = Folder::new();
    assert!(processes::within(folder.path()).is_empty());
    let mut by_folder =
        Command::new("sleep").arg("600").current_dir(folder.path()).spawn().expect("sleep starts");
    let script = format!("read line # {}", folder.path().display());
    let mut by_words =
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("sh starts");
    eventually("both are found", || (processes::within(folder.path()).len() == 2).then_some(()));
    assert!(processes::alive(by_folder.id()));
    for child in [&mut by_folder, &mut by_words] {
        processes::kill(child.id());
        child.wait().expect("it ends");
    }
    assert!(processes::within(folder.path()).is_empty() && !processes::alive(by_folder.id()));
}

#[test]
fn the_folder_is_removed_when_dropped() {
    let folder = Folder::new();
    let path = folder.path().to_owned();
    assert!(path.is_dir());
    drop(folder);
    assert!(!path.exists());
}
