//! The bare limit: a relay on one thread that copies bytes between TCP and the SQL server's socket, and
//! does nothing else. No TLS, no login, no routing: nothing that a gateway is for.

use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
};

/// Starts one; returns its port. It ends with the process.
pub(super) fn start(socket_folder: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a free port").port();
    let socket = Path::new(socket_folder).join(".s.PGSQL.5432");
    thread::spawn(move || relay(&listener, socket));
    port
}

struct Pair {
    client: TcpStream,
    server: UnixStream,
}

fn relay(listener: &TcpListener, socket: PathBuf) {
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
    watch(&epoll, listener, 0);
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        if epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).is_err() {
            continue;
        }
        for event in &events {
            let name = event.data.u64();
            let Some(place) = name.checked_sub(1) else {
                accept(&epoll, listener, &socket, &mut pairs);
                continue;
            };
            let (place, from_client) = ((place / 2) as usize, place % 2 == 0);
            let Some(pair) = &mut pairs[place] else { continue };
            let open = match from_client {
                true => copy(&mut pair.client, &mut pair.server, &mut buffer),
                false => copy(&mut pair.server, &mut pair.client, &mut buffer),
            };
            if !open {
                pairs[place] = None;
            }
        }
    }
}

fn watch(epoll: &OwnedFd, source: impl rustix::fd::AsFd, name: u64) {
    epoll::add(epoll, source, EventData::new_u64(name), EventFlags::IN).expect("epoll");
}

fn accept(epoll: &OwnedFd, listener: &TcpListener, socket: &Path, pairs: &mut Vec<Option<Pair>>) {
    let Ok((client, _)) = listener.accept() else { return };
    client.set_nodelay(true).expect("an option");
    let server = UnixStream::connect(socket).expect("the SQL server accepts");
    client.set_nonblocking(true).expect("an option");
    server.set_nonblocking(true).expect("an option");
    let place = pairs.len() as u64;
    watch(epoll, &client, 2 * place + 1);
    watch(epoll, &server, 2 * place + 2);
    pairs.push(Some(Pair { client, server }));
}

/// Copies what is there; false once one side has ended.
fn copy(from: &mut impl Read, to: &mut impl Write, buffer: &mut [u8]) -> bool {
    match from.read(buffer) {
        Ok(0) => false,
        // pgbench waits for each answer, so no socket is ever full.
        Ok(count) => to.write_all(&buffer[..count]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
