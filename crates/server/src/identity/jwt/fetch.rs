//! Downloads the keys of an issuer as OpenID Connect specifies: first their URL, then the keys.
//!
//! Uses TLS with the certificates that this machine trusts, and follows no redirects. Without TLS, only
//! addresses of this machine are allowed.

use ootheca_model::{Error, Result, issuer::check_url};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

/// The time limit of each request.
const LIMIT: Duration = Duration::from_secs(5);
/// The maximum size of a response in bytes.
const LONGEST: u64 = 256 * 1024;

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The key set of the issuer with this URL, as JSON.
pub(super) async fn keys(issuer_url: &str) -> Result<String> {
    let issuer_url = issuer_url.to_owned();
    let task = tokio::task::spawn_blocking(move || ask(&issuer_url));
    task.await
        .map_err(|error| Error::internal("fetching the keys of an issuer was interrupted").because(error))?
}

fn ask(issuer_url: &str) -> Result<String> {
    let base = issuer_url.trim_end_matches('/');
    let text = get(&format!("{base}/.well-known/openid-configuration"))?;
    let discovery: Discovery = serde_json::from_str(&text).map_err(|error| {
        Error::unavailable("could not read the openid-configuration of the issuer").because(error)
    })?;
    if discovery.issuer.trim_end_matches('/') != base {
        return Err(Error::unavailable("the openid-configuration belongs to another issuer"));
    }
    get(&discovery.jwks_uri)
}

fn get(url: &str) -> Result<String> {
    check_url("url", url)?;
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let mut config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(LIMIT));
    if url.starts_with("http://") {
        config = config.proxy(None);
    }
    let failed = |error: ureq::Error| Error::unavailable(format!("{url} does not respond")).because(error);
    let mut response = config.build().new_agent().get(url).call().map_err(failed)?;
    if response.status() != 200 {
        return Err(Error::unavailable(format!(
            "{url} responded with status {}",
            response.status().as_u16()
        )));
    }
    response.body_mut().with_config().limit(LONGEST).read_to_string().map_err(failed)
}
