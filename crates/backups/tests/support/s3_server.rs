//! An S3 server with a bucket in its memory: moto, which `./dev test` installs in `target/clients`.

use std::{
    env,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

pub(crate) const BUCKET: &str = "bucket";

/// The environment variable with the address of the server, in the process whose repositories are in the bucket.
const ENDPOINT: &str = "OOTHECA_TEST_S3_ENDPOINT";

pub(crate) struct S3Server {
    process: Child,
    endpoint: String,
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients/bin/python");
        let mut process = Command::new(python);
        process
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = process.spawn().expect("./dev test installs moto");
        let server = Self { process, endpoint: format!("http://127.0.0.1:{port}") };
        let mut create = Command::new("curl");
        create.args(["--silent", "--show-error", "--fail", "--request", "PUT"]);
        create.args(["--retry", "60", "--retry-delay", "1", "--retry-connrefused"]);
        succeeded(&create.arg(format!("{}/{BUCKET}", server.endpoint)).output().expect("curl starts"));
        server
    }

    /// What a process needs so that its repositories are in the bucket.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 6] {
        [
            (ENDPOINT, self.endpoint.as_str()),
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address of the server, if the repositories of this process are in its bucket.
pub(crate) fn endpoint() -> Option<String> {
    env::var(ENDPOINT).ok()
}

/// The names of the objects with this prefix whose uploads are neither complete nor aborted.
pub(crate) fn uploads(endpoint: &str, prefix: &str) -> Vec<String> {
    let mut list = Command::new("curl");
    list.args(["--silent", "--show-error", "--fail"]);
    let output = list.arg(format!("{endpoint}/{BUCKET}?uploads&prefix={prefix}")).output();
    let list = succeeded(&output.expect("curl starts"));
    assert!(list.contains("ListMultipartUploads"), "{list}");
    let keys = list.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    keys.map(|(key, _)| key.to_owned()).collect()
}

/// The output of a program.
#[track_caller]
pub(crate) fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
