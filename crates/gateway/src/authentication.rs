//! The client proves that it knows its user's password.

use crate::{
    scram::{self, Challenge, Failure, MAX_MESSAGE, Proof, Verifier},
    startup::Malformed,
    wire,
};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// Codes of authentication requests.
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// One exchange with a client. `binding` is the hash of our certificate, `before` what goes out ahead
/// of the first request.
pub(crate) async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut S,
    verifier: &Verifier,
    binding: Option<&[u8]>,
    before: Option<Vec<u8>>,
) -> io::Result<Result<Proof, Failure>> {
    let mut out = before.unwrap_or_default();
    wire::put_authentication(&mut out, SASL, &scram::offer(binding.is_some()));
    send(client, &out).await?;
    let first = match response(client).await? {
        Ok(first) => first,
        Err(why) => return Ok(Err(why.into())),
    };
    let challenge = match Challenge::begin(verifier, binding, &first) {
        Ok(challenge) => challenge,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut out = Vec::new();
    wire::put_authentication(&mut out, SASL_CONTINUE, challenge.message.as_bytes());
    send(client, &out).await?;
    Ok(match response(client).await? {
        Ok(last) => challenge.finish(verifier, &last),
        Err(why) => Err(why.into()),
    })
}

/// What ends the exchange, once there is more to say.
pub(crate) fn put_end(out: &mut Vec<u8>, proof: &Proof) {
    wire::put_authentication(out, SASL_FINAL, proof.message.as_bytes());
    wire::put_authentication(out, 0, &[]);
}

async fn send<S: AsyncWrite + Unpin>(client: &mut S, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes).await?;
    client.flush().await
}

async fn response<S: AsyncRead + Unpin>(client: &mut S) -> io::Result<Result<Vec<u8>, Malformed>> {
    Ok(match wire::read(client, MAX_MESSAGE).await? {
        Ok((b'p', body)) => Ok(body),
        Ok((kind, _)) => Err(Malformed(format!("expected SASL response, got message type {kind}"))),
        Err(why) => Err(why),
    })
}
