//! Administrative commands of the operator: sent to the running server, or run on the store if no server
//! runs.

use crate::{
    clock::SystemClock,
    context::Context,
    data_dir::{self, DataDir},
    gateway::control::{
        control_socket,
        protocol::{self, ClientHello, Failure, Role, ServerHello, VERSION, receive, send},
    },
    identity::{
        admin::{self, Command, Done},
        bootstrap,
    },
    settings::Settings,
};
use ootheca_model::{Error, Result, time::Clock as _};
use ootheca_store::Store;
use std::{io::ErrorKind, path::Path, time::Duration};
use tokio::{io::BufReader, net::UnixStream};

/// Sends a command to the server of the data directory. If no server runs, locks the directory and runs the
/// command on the store.
pub async fn execute(mut settings: Settings, command: Command) -> Result<Done> {
    settings.data_dir = data_dir::absolute(&settings.data_dir)?;
    if let Some(done) = send_to_server(&settings.data_dir, &command).await? {
        return Ok(done);
    }
    if !settings.data_dir.is_dir() {
        let rule =
            format!("the directory {} does not exist: start the server once", settings.data_dir.display());
        return Err(Error::invalid("data_dir", rule));
    }
    let data = DataDir::open(&settings.data_dir, Duration::ZERO).await?;
    let store = bootstrap::open_store(&settings).await?;
    let done = run(&*store, &settings, &data, command).await;
    // A copy of the store's file must be complete, as after a clean stop of the server.
    if let Err(error) = store.close().await {
        tracing::warn!(error = error.chain(), "store not closed cleanly");
    }
    done
}

async fn run(store: &dyn Store, settings: &Settings, data: &DataDir, command: Command) -> Result<Done> {
    let now = SystemClock.now();
    bootstrap::prepare(store, settings, data, now).await?;
    admin::run(store, settings, command, now).await
}

/// Sends a command to the server of a data directory; `None` if none runs.
async fn send_to_server(data: &Path, command: &Command) -> Result<Option<Done>> {
    let stream = match UnixStream::connect(control_socket(data)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(protocol::broken(error)),
    };
    let mut stream = BufReader::new(stream);
    let hello = ClientHello { ootheca: VERSION, role: Role::Admin { command: command.clone() } };
    send(stream.get_mut(), &hello).await?;
    let gone = || Error::unavailable("control socket: the server ended before it responded");
    receive::<_, ServerHello>(&mut stream).await?.ok_or_else(gone)?.check()?;
    let response = receive::<_, Result<Done, Failure>>(&mut stream).await?.ok_or_else(gone)?;
    response.map(Some).map_err(Error::from)
}

/// Runs a command and sends the response.
pub(super) async fn handle(context: &Context, stream: &mut UnixStream, command: Command) -> Result<()> {
    send(stream, &ServerHello::new()).await?;
    let result = admin::run(&*context.store, &context.settings, command, context.now()).await;
    send(stream, &result.map_err(Failure::from)).await
}
