//! The client proves that it knows its user's password.

use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::AuthenticationRequest,
    frontend::SASL_RESPONSE,
    message::{HEADER_LENGTH, Header},
    scram::{self, AuthenticationError, MAX_MESSAGE_LENGTH, Proof, ServerExchange, Verifier},
};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// One exchange with a client. `binding` is the hash of our certificate, `before` what goes out ahead
/// of the first request.
pub(crate) async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut S,
    verifier: &Verifier,
    binding: Option<&[u8]>,
    before: Option<Vec<u8>>,
) -> io::Result<Result<Proof, AuthenticationError>> {
    let mut out = before.unwrap_or_default();
    AuthenticationRequest::Sasl(&scram::mechanisms(binding.is_some())).put(&mut out);
    send(client, &out).await?;
    let first = match response(client).await? {
        Ok(first) => first,
        Err(why) => return Ok(Err(why.into())),
    };
    let exchange = match ServerExchange::start(verifier, binding, &first) {
        Ok(exchange) => exchange,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut out = Vec::new();
    AuthenticationRequest::SaslContinue(exchange.challenge().as_bytes()).put(&mut out);
    send(client, &out).await?;
    Ok(match response(client).await? {
        Ok(last) => exchange.finish(verifier, &last),
        Err(why) => Err(why.into()),
    })
}

/// What ends the exchange, once there is more to say.
pub(crate) fn put_end(out: &mut Vec<u8>, proof: &Proof) {
    AuthenticationRequest::SaslFinal(proof.server_final.as_bytes()).put(out);
    AuthenticationRequest::Ok.put(out);
}

async fn send<S: AsyncWrite + Unpin>(client: &mut S, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes).await?;
    client.flush().await
}

async fn response<S: AsyncRead + Unpin>(client: &mut S) -> io::Result<Result<Vec<u8>, ProtocolViolation>> {
    let mut header = [0; HEADER_LENGTH];
    client.read_exact(&mut header).await?;
    let header = match Header::parse(header, MAX_MESSAGE_LENGTH) {
        Ok(header) => header,
        Err(why) => return Ok(Err(why)),
    };
    let mut body = vec![0; header.body_length];
    client.read_exact(&mut body).await?;
    Ok(match header.kind {
        SASL_RESPONSE => Ok(body),
        kind => Err(ProtocolViolation::new(format!("expected SASL response, got message type {kind}"))),
    })
}
