//! A template of PostgreSQL that all servers of the tests start with, because creating one takes longer than
//! most tests.
//!
//! It is created once for each build of the program and kept beside it. The control secret belongs to it.

use crate::{Engine, ServerBuilder, eventually};
use std::{
    fs::{self, File, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const NAME: &str = "test-template-";
const PARTS: [&str; 2] = ["control-secret", "templates"];

/// Copies the template to a data directory that has no engine yet.
pub(crate) fn copy_to(data: &Path, program: &Path) {
    let template = find(program);
    let engine = data.join("engine");
    fs::create_dir_all(&engine).expect("the engine's folder");
    copy(&template, &engine);
}

/// The template for a program, which is created by the first test that needs it.
fn find(program: &Path) -> PathBuf {
    let folder = program.parent().expect("the program's folder");
    let built = program.metadata().as_ref().map(version).expect("the program");
    let template = folder.join(format!("{NAME}{built}"));
    if template.exists() {
        return template;
    }
    let lock = File::create(folder.join("test-template.lock")).expect("the lock file");
    lock.lock().expect("the lock");
    if !template.exists() {
        remove_others(folder);
        create(program, &template);
    }
    template
}

fn version(program: &Metadata) -> String {
    format!("{}-{}", program.mtime(), program.mtime_nsec())
}

fn remove_others(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(NAME) {
            fs::remove_dir_all(entry.path()).expect("an older template is removed");
        }
    }
}

fn create(program: &Path, template: &Path) {
    let program = program.to_str().expect("a path in UTF-8");
    let builder = ServerBuilder::new(program).engine(Engine::Postgres).own_template();
    let mut server = builder.boot();
    let engine = server.data_dir().join("engine");
    eventually("the template is created", || {
        let mut names = fs::read_dir(engine.join("templates")).ok()?.flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with("pg")).then_some(())
    });
    server.terminate();
    let unfinished = template.with_extension("unfinished");
    fs::create_dir(&unfinished).expect("the template's folder");
    copy(&engine, &unfinished);
    fs::rename(&unfinished, template).expect("the template's name");
}

/// Copies with owners and modes, without data where the file system can share it.
fn copy(from: &Path, to: &Path) {
    let parts = PARTS.map(|name| from.join(name));
    let status = Command::new("cp").args(["-a", "--reflink=auto"]).args(parts).arg(to).status();
    assert!(status.expect("failed to start cp").success(), "{} is copied", from.display());
}
