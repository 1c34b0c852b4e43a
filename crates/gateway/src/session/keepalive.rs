//! TCP keepalive, which detects clients whose machine or network has failed. Without it, their sessions
//! would occupy server processes, and keep clusters awake, forever.

use rustix::net::sockopt;
use std::{io, os::fd::AsFd, time::Duration};

/// The time without traffic before the first probe.
const IDLE: Duration = Duration::from_secs(60);
/// The number of unanswered probes after which the connection fails.
const PROBES: u32 = 3;
/// The time between probes.
const INTERVAL: Duration = Duration::from_secs(10);

pub(crate) fn enable(socket: impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_keepidle(&socket, IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, PROBES)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn keepalive_is_enabled_on_accepted_sockets() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).expect("a listener");
            let _client = TcpStream::connect(listener.local_addr().expect("its address")).expect("a client");
            let (accepted, _) = listener.accept().expect("a connection");
            assert!(!sockopt::socket_keepalive(&accepted).expect("an option"), "disabled by default");
            enable(&accepted).expect("keepalive is enabled");
            assert!(sockopt::socket_keepalive(&accepted).expect("an option"));
            assert_eq!(sockopt::tcp_keepidle(&accepted).expect("an option"), IDLE);
            assert_eq!(sockopt::tcp_keepintvl(&accepted).expect("an option"), INTERVAL);
            assert_eq!(sockopt::tcp_keepcnt(&accepted).expect("an option"), PROBES);
        }
    }
}
