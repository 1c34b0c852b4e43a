//! SCRAM verifiers. Passwords are never sent or stored in any other form.

use ootheca_model::{Error, Result};

/// Computes the verifier of a password on a thread that may block, because the computation is slow by design.
pub(crate) async fn verifier(password: &str) -> Result<String> {
    let password = password.to_owned();
    let work = move || postgres_protocol::password::scram_sha_256(password.as_bytes());
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("cannot compute a password verifier").because(error))
}
