//! One command of the machine's owner, and its answer.

use super::{
    control_socket,
    protocol::{self, Failure, Hello, Role, VERSION, Welcome, receive, send},
};
use crate::{
    admin::{Command, Done},
    app::App,
};
use ootheca_model::{Error, Result};
use std::{io::ErrorKind, path::Path};
use tokio::{io::BufReader, net::UnixStream};

/// Asks the server of a data folder; `None` if none runs.
pub async fn ask(data: &Path, command: &Command) -> Result<Option<Done>> {
    let stream = match UnixStream::connect(control_socket(data)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(protocol::broken(error)),
    };
    let mut stream = BufReader::new(stream);
    let hello = Hello { ootheca: VERSION, role: Role::Admin { command: command.clone() } };
    send(stream.get_mut(), &hello).await?;
    let gone = || Error::unavailable("control: the server ended before it answered");
    receive::<_, Welcome>(&mut stream).await?.ok_or_else(gone)?.check()?;
    let answer = receive::<_, Result<Done, Failure>>(&mut stream).await?.ok_or_else(gone)?;
    answer.map(Some).map_err(Error::from)
}

/// Does what is asked and answers.
pub(super) async fn answer(app: &App, stream: &mut UnixStream, command: Command) -> Result<()> {
    send(stream, &Welcome::new()).await?;
    let result = crate::admin::run(&*app.store, &app.settings, command, app.now()).await;
    send(stream, &result.map_err(Failure::from)).await
}
