//! What passes for a server as long as nobody asks it anything.

use super::client::message;
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A verifier for [`PASSWORD`](super::PASSWORD).
pub(crate) const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$yFtd9RWi5y2XAP54dAkltnlCYSQAwPIMl9tZg1/4QEs=:HdrAKOvZw012PBRwTDt6PQikHRXM2HEu9Rbi51s9arA=";

/// What it says when it is ready.
pub(crate) const GREETING: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07abcdZ\0\0\0\x05I";

/// Lets anybody in who sent a startup message; the answer is that message.
pub(crate) async fn admit(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Vec<u8> {
    let length = stream.read_u32().await.expect("a length") as usize;
    let mut startup = vec![0; length - 4];
    stream.read_exact(&mut startup).await.expect("a startup message");
    authentication(stream, 10, b"SCRAM-SHA-256\0\0").await;
    let (_, first) = message(stream).await;
    let first = String::from_utf8(first[18..].to_vec()).expect("text");
    let bare = first.strip_prefix("n,,").expect("no channel binding");
    let nonce = bare.strip_prefix("n=,r=").expect("a nonce");
    let challenge = format!("r={nonce}more,s=c2FsdA==,i=4096");
    authentication(stream, 11, challenge.as_bytes()).await;
    let (_, last) = message(stream).await;
    let last = String::from_utf8(last).expect("text");
    let (unproven, _) = last.rsplit_once(",p=").expect("a proof");
    let key = BASE64.decode(VERIFIER.rsplit_once(':').expect("keys").1).expect("a key");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    mac.update(format!("{bare},{challenge},{unproven}").as_bytes());
    let signature = format!("v={}", BASE64.encode(mac.finalize().into_bytes()));
    authentication(stream, 12, signature.as_bytes()).await;
    stream.write_all(GREETING).await.expect("sent");
    [&(length as u32).to_be_bytes()[..], &startup].concat()
}

async fn authentication(stream: &mut (impl AsyncWrite + Unpin), code: u32, body: &[u8]) {
    let length = (body.len() as u32 + 8).to_be_bytes();
    let message = [&b"R"[..], &length, &code.to_be_bytes(), body].concat();
    stream.write_all(&message).await.expect("sent");
}
