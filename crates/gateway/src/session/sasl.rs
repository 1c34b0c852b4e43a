//! Authentication of clients with SCRAM-SHA-256.

use super::FromClient;
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::AuthenticationRequest,
    frontend::SASL_RESPONSE,
    message::{HEADER_LENGTH, Header},
    scram::{self, AuthenticationError, MAX_MESSAGE_LENGTH, Proof, ServerExchange, Verifier},
};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A client's proof that it knows the password.
pub(crate) struct ClientProof {
    exchange: ServerExchange,
    message: Vec<u8>,
}

impl ClientProof {
    pub(crate) fn verify(&self, verifier: &Verifier) -> Result<Proof, AuthenticationError> {
        self.exchange.finish(verifier, &self.message)
    }
}

/// Runs an exchange up to the client's proof, which is not verified. `channel_binding` is that of the gateway's certificate.
/// `preamble` is sent together with the first request.
pub(crate) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut S,
    verifier: &Verifier,
    channel_binding: Option<&[u8]>,
    preamble: Option<Vec<u8>>,
) -> FromClient<ClientProof, AuthenticationError> {
    let mut out = preamble.unwrap_or_default();
    AuthenticationRequest::Sasl(&scram::mechanisms(channel_binding.is_some())).put(&mut out);
    send(client, &out).await?;
    let first = match read_response(client).await? {
        Ok(first) => first,
        Err(error) => return Ok(Err(error.into())),
    };
    let exchange = match ServerExchange::start(verifier, channel_binding, &first) {
        Ok(exchange) => exchange,
        Err(error) => return Ok(Err(error)),
    };
    let mut out = Vec::new();
    AuthenticationRequest::SaslContinue(exchange.challenge().as_bytes()).put(&mut out);
    send(client, &out).await?;
    Ok(match read_response(client).await? {
        Ok(message) => Ok(ClientProof { exchange, message }),
        Err(error) => Err(error.into()),
    })
}

/// Appends the messages that complete a successful exchange.
pub(crate) fn put_success(out: &mut Vec<u8>, proof: &Proof) {
    AuthenticationRequest::SaslFinal(proof.server_final.as_bytes()).put(out);
    AuthenticationRequest::Ok.put(out);
}

async fn send<S: AsyncWrite + Unpin>(client: &mut S, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes).await?;
    client.flush().await
}

async fn read_response<S: AsyncRead + Unpin>(client: &mut S) -> FromClient<Vec<u8>> {
    let mut header = [0; HEADER_LENGTH];
    client.read_exact(&mut header).await?;
    let Header { kind, body_length } = match Header::parse(header, MAX_MESSAGE_LENGTH) {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let mut body = vec![0; body_length];
    client.read_exact(&mut body).await?;
    if kind == SASL_RESPONSE {
        Ok(Ok(body))
    } else {
        Ok(Err(ProtocolViolation::new(format!("expected SASL response, got message type {kind}"))))
    }
}
