//! An S3 server with a bucket in its memory: moto, which `./dev test` installs in `target/clients`.

use crate::{eventually_within, port::free_port};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The name of the bucket.
pub const BUCKET: &str = "bucket";

/// Longer than the server takes to start on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A server with a bucket. Dropping it stops the server.
pub struct S3Server {
    process: Child,
    endpoint: String,
}

impl S3Server {
    /// Starts a server. Returns once the bucket exists.
    pub fn start() -> Self {
        let port = free_port();
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients/bin/python");
        let mut process = Command::new(python);
        process.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        process.env("PYTHONDONTWRITEBYTECODE", "1");
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = process.spawn().expect("./dev test installs moto");
        let mut server = Self { process, endpoint: format!("http://127.0.0.1:{port}") };
        eventually_within(LIMIT, "the S3 server has a bucket", || {
            let ended = server.process.try_wait().expect("a child process");
            assert!(ended.is_none(), "moto exited during startup: {ended:?}");
            request(&server.endpoint, "PUT", "").map(drop)
        });
        server
    }

    /// The URL of the server.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The environment variables with which a process uses the server at an endpoint.
pub fn environment(endpoint: &str) -> [(&'static str, &str); 5] {
    [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
    ]
}

/// The names of the objects with this prefix.
#[track_caller]
pub fn objects(endpoint: &str, prefix: &str) -> Vec<String> {
    keys(&list(endpoint, &format!("list-type=2&prefix={prefix}")))
}

/// The names of the objects with this prefix whose uploads are neither complete nor aborted.
#[track_caller]
pub fn uploads(endpoint: &str, prefix: &str) -> Vec<String> {
    let list = list(endpoint, &format!("uploads&prefix={prefix}"));
    assert!(list.contains("ListMultipartUploads"), "{list}");
    keys(&list)
}

#[track_caller]
fn list(endpoint: &str, query: &str) -> String {
    request(endpoint, "GET", &format!("?{query}")).expect("the S3 server responds with a list")
}

/// The names in a list.
fn keys(list: &str) -> Vec<String> {
    let keys = list.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    keys.map(|(key, _)| key.to_owned()).collect()
}

/// Sends a request about the bucket. Returns the body of a successful response.
fn request(endpoint: &str, method: &str, query: &str) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--request", method]).arg(format!("{endpoint}/{BUCKET}{query}"));
    let output = curl.output().expect("curl starts");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
