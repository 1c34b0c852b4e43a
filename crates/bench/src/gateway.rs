//! Throughput of the gateway against PgBouncer (session mode, TLS) and the bare Unix socket, with
//! `pgbench -S -M prepared`, in turns.

use crate::stats::Rates;
use ootheca_testkit::{Engine, Launch, eventually};
use serde_json::json;
use std::{
    fs,
    net::TcpStream,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
};

const ROUNDS: usize = 5;
const PASSWORD: &str = "correct horse battery";

pub(crate) fn run(program: &str) {
    println!("\n== gateway with TLS: pgbench -S -M prepared, in turns");
    let server = Launch::new(program).engine(Engine::Postgres).boot();
    let cluster = server.create_cluster("bench-gateway", "BASIC");
    let id = cluster["id"].as_str().unwrap_or_default();
    server.post(&format!("/clusters/{id}/sql-users"), json!({ "name": "bench", "password": PASSWORD })).ok();
    let routing =
        cluster.pointer("/config/serverless/routing_id").and_then(|id| id.as_str()).unwrap_or_default();
    let port = server.sql_address().port();
    let ours = format!(
        "host=localhost port={port} dbname=defaultdb user=bench sslmode=require options=--cluster={routing}"
    );
    let folder = socket_folder(server.data_dir(), &server.instances());
    let direct = format!("host={folder} dbname=defaultdb user=bench");
    let peer = PgBouncer::start(&server.data_dir().join("certificates"), &folder);
    let pgbouncer = format!("host=localhost port={} dbname=defaultdb user=bench sslmode=require", peer.port);
    pgbench(&direct, &["-i", "-q", "-s", "10"]);
    for clients in [1, 16] {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (rates, target) in rates.iter_mut().zip([&ours, &pgbouncer, &direct]) {
                rates.push(tps(target, clients));
            }
        }
        let [ours, theirs, direct] = rates.map(Rates::new);
        println!("{}", ours.line(&format!("ootheca, TLS, {clients} clients")));
        println!("{}", theirs.line(&format!("PgBouncer, TLS, session mode, {clients} clients")));
        println!("{}", direct.line(&format!("Unix socket without any proxy, {clients} clients")));
        let (peer, bare) = (ours.median() / theirs.median(), ours.median() / direct.median());
        println!("ratio to PgBouncer {peer:.2}, to the bare socket {bare:.2}");
    }
}

fn socket_folder(data: std::path::PathBuf, instances: &[serde_json::Value]) -> String {
    let instance = instances.iter().find(|row| !row["cluster"].is_null());
    let name = instance.and_then(|row| row["instance"].as_str()).unwrap_or_default();
    data.join("engine/run").join(name).display().to_string()
}

fn tps(target: &str, clients: usize) -> f64 {
    let clients = clients.to_string();
    let text = pgbench(target, &["-S", "-M", "prepared", "-n", "-c", &clients, "-j", "1", "-T", "4"]);
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("pgbench says its rate")
}

fn pgbench(target: &str, args: &[&str]) -> String {
    let program =
        programs().into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| "pgbench".to_owned());
    let output = Command::new(program)
        .args(args)
        .arg(target)
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("pgbench runs");
    assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn programs() -> Vec<String> {
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.map(|entry| entry.path().join("bin/pgbench").display().to_string()).collect()
}

/// A PgBouncer with the gateway's certificate, in front of the same server.
struct PgBouncer {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    fn start(certificates: &Path, socket_folder: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        for name in ["server.pem", "server-key.pem"] {
            fs::copy(certificates.join(name), at(name)).expect("the certificate");
        }
        fs::write(at("users"), format!("\"bench\" \"{PASSWORD}\"\n")).expect("a file");
        let mut config = format!(
            "[databases]\n* = host={socket_folder}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = session\nmax_client_conn = 500\n\
             default_pool_size = 150\nclient_tls_sslmode = require\nclient_tls_cert_file = {}\nclient_tls_key_file = {}\n\
             ignore_startup_parameters = extra_float_digits\nlog_connections = 0\nlog_disconnections = 0\n",
            at("users").display(),
            at("server.pem").display(),
            at("server-key.pem").display(),
        );
        // PgBouncer refuses to run as root; the owner of the SQL servers may enter their socket folder.
        if rustix::process::geteuid().is_root() {
            config.push_str("user = ootheca\n");
            let (uid, gid) = owner(socket_folder);
            for name in ["server.pem", "server-key.pem", "users"] {
                chown(at(name), Some(uid), Some(gid)).expect("a new owner");
            }
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        }
        fs::write(at("ini"), config).expect("a file");
        let process =
            Command::new("pgbouncer").arg(at("ini")).stderr(Stdio::null()).spawn().expect("pgbouncer starts");
        eventually("PgBouncer listens", || TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
        Self { process, port, _folder: folder }
    }
}

fn owner(folder: &str) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(folder).expect("the socket folder");
    (metadata.uid(), metadata.gid())
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
