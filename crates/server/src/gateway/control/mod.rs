//! Communication between the processes of a data directory, over Unix sockets in it that only the owner can
//! open.
//!
//! `control.sock` belongs to the server (`server`): gateway processes connect to it (`remote`), and so does a
//! successor. `gateway.sock` belongs to a gateway process, for its own successor. A connection begins with a
//! handshake that names the version of the protocol (`protocol`). [`crate::gateway::handover`] passes descriptors.

pub mod admin;
mod cache;
mod link;
pub mod protocol;
pub mod remote;
pub mod server;
mod sources;

use ootheca_model::{Error, Result};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::{UnixListener, UnixStream};

/// The control plane's socket.
pub fn control_socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// The socket of a separate gateway.
pub fn gateway_socket(data: &Path) -> PathBuf {
    data.join("gateway.sock")
}

/// Listens at `path`. An earlier socket is replaced atomically, so that the path always exists.
pub fn listen(path: &Path) -> Result<UnixListener> {
    let failed = |error: std::io::Error| {
        Error::internal(format!("control socket: could not listen on {}", path.display())).because(error)
    };
    // The permissions are set before the socket has its final name.
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&draft).map_err(failed)?;
    fs::set_permissions(&draft, Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    Ok(listener)
}

/// The next connection.
pub(crate) async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "control: connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
