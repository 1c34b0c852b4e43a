//! The server's end of the control socket: handles requests of gateway processes, and accepts successors and
//! administrative commands.

use crate::{
    context::Context,
    gateway::{
        control::{
            self, admin,
            protocol::{
                self, NumberedRequest, Request, Response, Role, ServerHello, ServerMessage, read_hello,
                receive, send,
            },
            sources::Sources,
        },
        handover::HandoverServer,
    },
    metering::{Metering, activity::Source},
};
use ootheca_gateway::Directory;
use ootheca_model::{ClusterId, Error, Result};
use std::sync::{Arc, atomic::Ordering};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        Semaphore,
        broadcast::{self, error::RecvError},
        mpsc, watch,
    },
    task::JoinSet,
};

/// The maximum number of requests of one gateway that are handled at the same time. Further requests wait in
/// its socket.
const IN_FLIGHT: usize = 1024;

/// What all connections share.
pub struct Control {
    /// What every part may use.
    pub context: Arc<Context>,
    /// Where gateways report the activity of their sessions.
    pub metering: Arc<Metering>,
    /// The directory, which the embedded gateway uses too.
    pub directory: Arc<dyn Directory>,
    /// The handover to successors.
    pub handover_server: Arc<HandoverServer>,
}

/// Serves the socket until `stop` is true. Connections end with it.
pub async fn serve(control: Control, listener: UnixListener, mut stop: watch::Receiver<bool>) {
    let (control, sources) = (Arc::new(control), Arc::new(Sources::default()));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            stream = control::accept(&listener) => {
                connections.spawn(serve_connection(control.clone(), sources.clone(), stream));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(control: Arc<Control>, sources: Arc<Sources>, stream: UnixStream) {
    if let Err(error) = handle_connection(&control, &sources, stream).await {
        tracing::warn!(error = error.chain(), "control: connection ended");
    }
}

async fn handle_connection(control: &Arc<Control>, sources: &Arc<Sources>, stream: UnixStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    match read_hello(&mut stream).await? {
        None => Ok(()),
        Some(Role::Successor) => {
            // The handover continues after this socket is closed.
            control.handover_server.admit(stream.into_inner()).await
        }
        Some(Role::Admin { command }) => admin::handle(&control.context, stream.get_mut(), command).await,
        Some(Role::Gateway { source, port }) => {
            send(stream.get_mut(), &ServerHello::new()).await?;
            let _present = sources.enter(&control.metering, source);
            listens_at(&control.context, port);
            tracing::info!(port, "gateway process connected");
            let result = serve_gateway(control, source, stream.into_inner()).await;
            tracing::info!(port, "gateway process disconnected");
            result
        }
    }
}

fn listens_at(context: &Context, port: u16) {
    if port != 0 && !context.settings.gateway.enabled {
        context.sql_port.store(port, Ordering::Relaxed);
    }
}

async fn serve_gateway(control: &Arc<Control>, source: Source, stream: UnixStream) -> Result<()> {
    let (reader, writer) = stream.into_split();
    let (responses, outgoing) = mpsc::channel(IN_FLIGHT);
    // Subscribed before the first request, so that a response is never older than the pushed events.
    let changes = control.directory.changes();
    tokio::select! {
        result = handle_requests(control, source, reader, responses) => result,
        result = write_messages(changes, writer, outgoing) => result,
    }
}

/// Reads requests, and handles many at a time.
async fn handle_requests(
    control: &Arc<Control>,
    source: Source,
    reader: OwnedReadHalf,
    responses: mpsc::Sender<ServerMessage>,
) -> Result<()> {
    let mut reader = BufReader::new(reader);
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut tasks = JoinSet::new();
    while let Some(NumberedRequest { id, request }) = receive(&mut reader).await? {
        while tasks.try_join_next().is_some() {}
        let gone = |_| Error::internal("control: closed");
        let slot = slots.clone().acquire_owned().await.map_err(gone)?;
        let (control, responses) = (control.clone(), responses.clone());
        tasks.spawn(async move {
            let result = handle(&control, source, request).await.map_err(protocol::Failure::from);
            // The writer only ends with the connection.
            let _ = responses.send(ServerMessage::Response { id, result }).await;
            drop(slot);
        });
    }
    Ok(())
}

async fn handle(control: &Control, source: Source, request: Request) -> Result<Response> {
    let (metering, directory) = (&control.metering, &control.directory);
    match request {
        Request::Resolve { routing_id } => directory.resolve(&routing_id).await.map(Response::Destination),
        Request::Policy { cluster } => directory.policy(cluster).await.map(Response::Policy),
        Request::Secret { cluster, user } => directory.secret(cluster, &user).await.map(Response::Secret),
        Request::Endpoint { cluster } => directory.endpoint(cluster).await.map(Response::Endpoint),
        Request::Invalidate { cluster } => {
            directory.invalidate(cluster).await;
            Ok(Response::Done)
        }
        Request::Report { activities } => {
            metering.activity.note(source, &activities, metering.context.now());
            Ok(Response::Done)
        }
        Request::Port { port } => {
            listens_at(&control.context, port);
            Ok(Response::Done)
        }
    }
}

/// Writes responses and events.
async fn write_messages(
    mut changes: broadcast::Receiver<ClusterId>,
    mut writer: OwnedWriteHalf,
    mut responses: mpsc::Receiver<ServerMessage>,
) -> Result<()> {
    loop {
        let message = tokio::select! {
            response = responses.recv() => match response {
                Some(response) => response,
                None => return Ok(()),
            },
            changed = changes.recv() => match changed {
                Ok(cluster) => ServerMessage::Changed(Some(cluster)),
                Err(RecvError::Lagged(_)) => ServerMessage::Changed(None),
                Err(RecvError::Closed) => return Ok(()),
            },
        };
        let line = protocol::encode(&message)?;
        writer.write_all(&line).await.map_err(protocol::broken)?;
    }
}
