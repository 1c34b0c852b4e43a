//! Ports for servers that can't choose one themselves.

use std::net::TcpListener;

/// A loopback port that is free now.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its address").port()
}
