//! A PgBouncer with the certificate of the gateway, in front of the same server.

use ootheca_testkit::eventually;
use std::{
    fs,
    net::TcpStream,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::PASSWORD;

pub(crate) struct PgBouncer {
    process: Child,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    pub(crate) fn start(certificates: &Path, socket_folder: &str) -> Self {
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
        // PgBouncer refuses to run as root. The owner of the SQL servers has access to the directory of their
        // sockets.
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

pub(crate) fn owner(folder: &str) -> (u32, u32) {
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
