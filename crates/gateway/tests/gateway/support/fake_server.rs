//! A stand-in for a PostgreSQL server, up to the end of login.

use super::client::{read_message, send};
use ootheca_pg_protocol::{
    backend::AuthenticationRequest,
    scram::{ServerExchange, Verifier, mechanisms},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

/// A verifier for [`PASSWORD`](super::PASSWORD).
pub(crate) const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$yFtd9RWi5y2XAP54dAkltnlCYSQAwPIMl9tZg1/4QEs=:HdrAKOvZw012PBRwTDt6PQikHRXM2HEu9Rbi51s9arA=";

/// AuthenticationOk, BackendKeyData, and ReadyForQuery.
pub(crate) const LOGIN_COMPLETE: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07abcdZ\0\0\0\x05I";

/// Authenticates a user whose verifier is [`VERIFIER`]. Returns the startup message.
pub(crate) async fn accept_login(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Vec<u8> {
    let length = stream.read_u32().await.expect("a length");
    let mut startup = vec![0; length as usize - 4];
    stream.read_exact(&mut startup).await.expect("a startup message");
    request(stream, AuthenticationRequest::Sasl(&mechanisms(false))).await;
    let verifier = Verifier::parse(VERIFIER).expect("a verifier");
    let (_, first) = read_message(stream).await;
    let exchange = ServerExchange::start(&verifier, None, &first).expect("a valid response");
    request(stream, AuthenticationRequest::SaslContinue(exchange.challenge().as_bytes())).await;
    let (_, last) = read_message(stream).await;
    let proof = exchange.finish(&verifier, &last).expect("the key of the user");
    request(stream, AuthenticationRequest::SaslFinal(proof.server_final.as_bytes())).await;
    send(stream, LOGIN_COMPLETE).await;
    [&length.to_be_bytes()[..], &startup].concat()
}

async fn request(stream: &mut (impl AsyncWrite + Unpin), request: AuthenticationRequest<'_>) {
    let mut message = Vec::new();
    request.put(&mut message);
    send(stream, &message).await;
}
