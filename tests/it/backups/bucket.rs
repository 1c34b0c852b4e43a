//! A repository in a bucket. The S3 server is moto, which `./dev test` installs in `target/clients`.

use super::shared::{
    HOUR, LIMIT, backup_after, backups, database, databases, furnish, now, restore_into_itself, run,
    take_backup,
};
use crate::support::{PROGRAM, advance};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, eventually_within};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

const URL: &str = "s3://bucket/installations/one";
/// The time after which the backups of the test have expired, in seconds.
const RETENTION: i64 = 31 * 24 * HOUR;

/// An S3 server with a bucket in its memory.
pub(super) struct Bucket {
    server: Child,
    pub(super) endpoint: String,
}

impl Bucket {
    pub(super) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port().to_string();
        drop(free);
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients/bin/python");
        let mut server = Command::new(python);
        server
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port])
            .env("PYTHONDONTWRITEBYTECODE", "1");
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().expect("./dev test installs moto");
        let bucket = Self { server, endpoint: format!("http://127.0.0.1:{port}") };
        eventually_within(LIMIT, "the S3 server has a bucket", || bucket.request("PUT", "/bucket").map(drop));
        bucket
    }

    fn request(&self, method: &str, path: &str) -> Option<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--request", method]).arg(format!("{}{path}", self.endpoint));
        let output = curl.output().expect("curl starts");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn boot(&self, engine: Engine) -> Ootheca {
        builder(&self.endpoint, engine).boot()
    }

    /// The objects below a path of the repository.
    fn objects(&self, path: &str) -> Vec<String> {
        let prefix = format!("installations/one/{path}");
        let list = self.request("GET", &format!("/bucket?list-type=2&prefix={prefix}")).expect("a list");
        let keys = list.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key[prefix.len()..].to_owned()).collect()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What a process needs to use the bucket at an endpoint.
fn environment(endpoint: &str) -> [(&'static str, &str); 5] {
    [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
    ]
}

/// A server that takes backups, with the test clock, whose repository is in the bucket at an endpoint.
pub(super) fn builder(endpoint: &str, engine: Engine) -> ServerBuilder {
    let builder = ServerBuilder::new(PROGRAM).engine(engine).backups().env("OOTHECA_BACKUPS__URL", URL);
    environment(endpoint).into_iter().fold(builder, |builder, (name, value)| builder.env(name, value))
}

fn clusters_are_restored_from_a_bucket(engine: Engine) {
    let bucket = Bucket::start();
    let mut server = bucket.boot(engine);
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
    assert!(bucket.objects(&before).iter().any(|name| name.starts_with("base/")));
    let time = now(&server);
    advance(&server, RETENTION);
    eventually_within(LIMIT, "the objects of expired backups are removed", || {
        bucket.objects(&before).is_empty().then_some(())
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
    let bucket = Bucket::start();
    let mut server = bucket.boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    eventually("the control store is copied", || (!bucket.objects("control/").is_empty()).then_some(()));
    let key = server.run(&["backup", "key"]);
    server.kill();
    fs::remove_dir_all(server.data_dir()).expect("the data directory is removed");

    let file = server.data_dir().with_file_name("key");
    fs::write(&file, key.stdout).expect("the key");
    let mut recover = Command::new(PROGRAM);
    recover.args(["recover", "--url", URL, "--data-dir"]).arg(server.data_dir());
    recover.arg("--key-file").arg(&file).envs(environment(&bucket.endpoint));
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
