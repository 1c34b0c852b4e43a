//! A repository in a bucket.

use super::shared::{
    HOUR, LIMIT, backup_after, backups, database, databases, furnish, now, restore_into_itself, run,
    take_backup,
};
use crate::support::{PROGRAM, advance};
use ootheca_testkit::{
    Engine, ServerBuilder, eventually, eventually_within,
    s3::{self, S3Server},
};
use std::{fs, process::Command};

const URL: &str = "s3://bucket/installations/one";
/// The time after which the backups of the test have expired, in seconds.
const RETENTION: i64 = 31 * 24 * HOUR;

/// A server that takes backups, with the test clock, whose repository is in the bucket at an endpoint.
pub(super) fn builder(endpoint: &str, engine: Engine) -> ServerBuilder {
    let builder = ServerBuilder::new(PROGRAM).engine(engine).backups().env("OOTHECA_BACKUPS__URL", URL);
    s3::environment(endpoint).into_iter().fold(builder, |builder, (name, value)| builder.env(name, value))
}

/// The objects below a path of the repository.
fn objects(bucket: &S3Server, path: &str) -> Vec<String> {
    s3::objects(bucket.endpoint(), &format!("installations/one/{path}"))
}

fn clusters_are_restored_from_a_bucket(engine: Engine) {
    let bucket = S3Server::start();
    let mut server = builder(bucket.endpoint(), engine).boot();
    let cluster = furnish(&server, engine, "some-cluster");
    if engine == Engine::Postgres {
        // More than one part of an upload.
        run(
            &server,
            &cluster,
            "CREATE TABLE big AS SELECT md5(n::text) FROM generate_series(1, 300000) AS n",
        );
    }
    let first = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "later");
    take_backup(&server, &cluster, HOUR);
    server.restart();
    restore_into_itself(&server, &cluster, &first);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
    if engine == Engine::Postgres {
        assert_eq!(run(&server, &cluster, "SELECT count(*) FROM big"), "300000");
    }
    let before = format!("clusters/{cluster}/0/");
    assert!(!objects(&bucket, &format!("{before}base/")).is_empty());
    let time = now(&server);
    advance(&server, RETENTION);
    eventually_within(LIMIT, "the objects of expired backups are removed", || {
        objects(&bucket, &before).is_empty().then_some(())
    });
    let newest = backup_after(&server, &cluster, &time);
    assert!(backups(&server, &cluster).contains(&newest));
}

#[test]
fn simulated_clusters_are_restored_from_a_bucket() {
    clusters_are_restored_from_a_bucket(Engine::Simulated);
}

#[test]
fn postgres_clusters_are_restored_from_a_bucket() {
    clusters_are_restored_from_a_bucket(Engine::Postgres);
}

#[test]
fn an_installation_is_recovered_from_a_bucket() {
    let bucket = S3Server::start();
    let mut server = builder(bucket.endpoint(), Engine::Simulated).boot();
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    eventually("the control store is copied", || (!objects(&bucket, "control/").is_empty()).then_some(()));
    let key = server.run(&["backup", "key"]);
    server.kill();
    fs::remove_dir_all(server.data_dir()).expect("the data directory is removed");

    let file = server.data_dir().with_file_name("key");
    fs::write(&file, key.stdout).expect("the key");
    let mut recover = Command::new(PROGRAM);
    recover.args(["recover", "--url", URL, "--data-dir"]).arg(server.data_dir());
    recover.arg("--key-file").arg(&file).envs(s3::environment(bucket.endpoint()));
    let output = recover.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.start();
    eventually_within(LIMIT, "the cluster is restored", || {
        let shown = server.get(&format!("/clusters/{cluster}/restores"));
        (shown.ok()["restores"][0]["status"] == "SUCCESS").then_some(())
    });
    server.when_created(&cluster);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}
