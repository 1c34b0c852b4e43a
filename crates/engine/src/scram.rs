//! Passwords leave this process as SCRAM verifiers only.

use ootheca_model::{Error, Result};

/// The verifier of a password. Slow on purpose, so on a thread that may wait.
pub(crate) async fn verifier(password: &str) -> Result<String> {
    let password = password.to_owned();
    let work = move || postgres_protocol::password::scram_sha_256(password.as_bytes());
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("can not make a password verifier").because(error))
}
