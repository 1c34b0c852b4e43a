//! Notices clients that are gone without a word: their machine or their network went away.
//!
//! Without it a session would hold its server process, and its cluster awake, for ever.

use rustix::net::sockopt;
use std::{io, os::fd::AsFd, time::Duration};

/// After so long without a word a client is asked whether it is there …
const IDLE: Duration = Duration::from_secs(60);
/// … so often …
const PROBES: u32 = 3;
/// … at this distance, before its connection counts as broken.
const INTERVAL: Duration = Duration::from_secs(10);

/// Switches it on for a TCP connection.
pub(crate) fn switch_on(socket: impl AsFd) -> io::Result<()> {
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
    fn a_silent_client_is_asked_after_a_minute() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).expect("a listener");
            let _client = TcpStream::connect(listener.local_addr().expect("its address")).expect("a client");
            let (accepted, _) = listener.accept().expect("a connection");
            assert!(!sockopt::socket_keepalive(&accepted).expect("an option"), "off by itself");
            switch_on(&accepted).expect("switched on");
            assert!(sockopt::socket_keepalive(&accepted).expect("an option"));
            assert_eq!(sockopt::tcp_keepidle(&accepted).expect("an option"), IDLE);
            assert_eq!(sockopt::tcp_keepintvl(&accepted).expect("an option"), INTERVAL);
            assert_eq!(sockopt::tcp_keepcnt(&accepted).expect("an option"), PROBES);
        }
    }
}
