//! HTTPS for the API and the console: which certificate it uses, and how it is renewed or read again.

mod handshake;

use crate::settings::{self, Settings, TlsSettings};
use axum::http::Uri;
use ootheca_gateway::{Authority, Certificate, Purpose, RENEW_BEFORE};
use ootheca_model::{Error, Result, Timestamp};
use parking_lot::RwLock;
use rustls::pki_types::ServerName;
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How often to check whether the certificate has to be renewed or was replaced. The clock can jump, so it is
/// not enough to wait for the time of the next renewal.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How often a certificate that expires soon is reported.
const WARN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
const API: Purpose = Purpose { file: "api", common_name: "Ootheca API" };

/// The certificate of the API.
pub struct Tls {
    source: Source,
    current: RwLock<Current>,
}

/// Where the certificate comes from.
enum Source {
    /// Files of the operator.
    Files { certificate: PathBuf, key: PathBuf },
    /// The installation's own certificate authority.
    Authority { folder: PathBuf, names: Vec<String> },
}

struct Current {
    leaf: Vec<u8>,
    expires: SystemTime,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Opens the certificate that the settings name; `None` without TLS.
    pub fn open(settings: &Settings) -> Result<Option<Arc<Self>>> {
        let TlsSettings { certificate, key, self_signed } = settings.tls.clone();
        let source = match self_signed {
            true => Source::Authority {
                folder: settings.data_dir.join("certificates"),
                names: names(settings, &settings::hostname()),
            },
            false if settings.tls.enabled() => Source::Files { certificate, key },
            false => return Ok(None),
        };
        let current = RwLock::new(source.read()?);
        let tls = Self { source, current };
        tls.warn_before_expiry();
        Ok(Some(Arc::new(tls)))
    }

    /// When the certificate expires.
    pub fn expires(&self) -> SystemTime {
        self.current.read().expires
    }

    /// Completes the handshake of a connection.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.current.read().acceptor.clone();
        handshake::run(acceptor, stream).await
    }

    /// Reads the certificate again, and renews it if it is ours and due. New connections use the new one. After
    /// an error, the old one remains in use.
    pub fn reload(&self) -> Result<()> {
        let read = self.source.read()?;
        let mut current = self.current.write();
        if read.leaf != current.leaf {
            tracing::info!(expires = %Timestamp::from(read.expires), "certificate of the API replaced");
            *current = read;
        }
        Ok(())
    }

    /// Checks the certificate regularly until `stop` is true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut failing = false;
        let mut warned = SystemTime::now();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            let tls = self.clone();
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Err(error)) if !failing => {
                    failing = true;
                    tracing::error!(
                        error = error.chain(),
                        "certificate of the API not read; the previous one remains in use"
                    );
                }
                Ok(Ok(())) => failing = false,
                _ => {}
            }
            if warned.elapsed().is_ok_and(|since| since >= WARN_INTERVAL) {
                warned = SystemTime::now();
                self.warn_before_expiry();
            }
        }
    }

    fn warn_before_expiry(&self) {
        let expires = self.expires();
        if let (Source::Files { certificate, .. }, true) =
            (&self.source, expires < SystemTime::now() + RENEW_BEFORE)
        {
            tracing::warn!(
                certificate = %certificate.display(),
                expires = %Timestamp::from(expires),
                "the certificate of the API expires soon: replace its files"
            );
        }
    }
}

impl Source {
    fn read(&self) -> Result<Current> {
        let certificate = match self {
            Self::Files { certificate, key } => Certificate::read(certificate, key)
                .map_err(|cause| Error::invalid("tls", cause.to_string()))?,
            Self::Authority { folder, names } => {
                let now = SystemTime::now();
                Authority::open(folder, now)?.certificate(API, names, now)?
            }
        };
        let config = certificate.server_config(&[b"http/1.1"]).map_err(|cause| {
            Error::invalid("tls.key", "must be the private key of the certificate in tls.certificate")
                .because(cause)
        })?;
        Ok(Current {
            leaf: certificate.leaf().to_vec(),
            expires: certificate.expires(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}

/// The names in our own certificate: those of this machine, and those in the settings.
fn names(settings: &Settings, hostname: &str) -> Vec<String> {
    let public = settings.public_url.parse::<Uri>().ok();
    let public = public.as_ref().and_then(Uri::host).unwrap_or_default();
    let listen = settings.listen.ip();
    let listen = if listen.is_unspecified() { String::new() } else { listen.to_string() };
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for name in [public.trim_matches(['[', ']']), &listen, hostname, &settings.gateway.host] {
        let name = name.to_ascii_lowercase();
        if ServerName::try_from(name.as_str()).is_ok() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn our_own_certificate_contains_the_names_of_this_machine_and_of_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let named = |listen: &str, public_url: &str, hostname: &str| {
            let flags = serde_json::json!({
                "data_dir": folder.path(), "listen": listen, "public_url": public_url,
                "tls": { "self_signed": true },
            });
            names(&Settings::load(None, &flags).unwrap(), hostname)
        };
        let always = ["localhost", "127.0.0.1", "::1"];
        assert_eq!(named("127.0.0.1:80", "", "localhost"), always);
        assert_eq!(named("0.0.0.0:80", "", "not a name"), always);
        let found = named("192.0.2.7:80", "https://Cloud.example.com:8443/x", "box");
        assert_eq!(found[3..], ["cloud.example.com", "192.0.2.7", "box"]);
        assert_eq!(named("[::]:80", "https://[2001:db8::1]/", "")[3..], ["2001:db8::1"]);
    }
}
