//! TLS of the gateway: which certificate a client gets.
//!
//! One certificate is for `localhost`, the loopback addresses, the domains of the gateway, and by a wildcard
//! for the names directly below them. OpenSSL refuses a wildcard below a domain of one label, such as
//! `*.localhost`, so a name below such a domain gets a certificate of its own when a client asks for it.

pub(crate) mod authority;

use crate::session::routing::is_routing_id;
use authority::{Authority, Certificate, Purpose};
use ootheca_model::Result;
use ootheca_pg_protocol::channel_binding::tls_server_end_point;
use quick_cache::sync::Cache;
use rustls::ServerConfig;
use std::{path::Path, sync::Arc, time::SystemTime};

/// The name of the PostgreSQL protocol in ALPN.
pub(crate) const ALPN: &[u8] = b"postgresql";

const GATEWAY: Purpose = Purpose { file: "server", common_name: "Ootheca SQL gateway" };

/// How many certificates for single names are kept. Each takes some kilobytes, and about the time of a TLS
/// handshake to create again.
const MAX_NAMES: usize = 1000;

/// The certificates of new connections.
pub(crate) struct Certificates {
    authority: Authority,
    shared: Certificate,
    shared_presented: Arc<Presented>,
    domains: Vec<String>,
    /// By name.
    single: Cache<String, Arc<Presented>>,
    now: fn() -> SystemTime,
}

/// A certificate as it is presented to clients.
pub(crate) struct Presented {
    pub(crate) config: Arc<ServerConfig>,
    /// The channel binding of the certificate.
    pub(crate) channel_binding: Option<Box<[u8]>>,
}

impl Presented {
    fn new(certificate: &Certificate) -> Result<Arc<Self>, rustls::Error> {
        let config = Arc::new(certificate.server_config(&[ALPN])?);
        let channel_binding = tls_server_end_point(certificate.leaf()).map(Vec::into_boxed_slice);
        Ok(Arc::new(Self { config, channel_binding }))
    }
}

impl Certificates {
    /// Opens the folder, and creates or replaces what is needed. The error names the folder.
    pub(crate) fn open(folder: &Path, domains: &[String], now: fn() -> SystemTime) -> Result<Self> {
        let authority = Authority::open(folder, now())?;
        let domains = with_localhost(domains);
        let shared = authority.certificate(GATEWAY, &names(&domains), now())?;
        let shared_presented = Presented::new(&shared).map_err(|cause| {
            ootheca_model::Error::internal("could not use the certificate of the SQL gateway").because(cause)
        })?;
        Ok(Self { authority, shared, shared_presented, domains, single: Cache::new(MAX_NAMES), now })
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The certificate for all names that don't need one of their own.
    pub(crate) fn shared(&self) -> &Certificate {
        &self.shared
    }

    /// The certificate for a client that asks for this name.
    pub(crate) fn select(&self, server_name: Option<&str>) -> Arc<Presented> {
        let name = server_name.map(str::to_ascii_lowercase);
        let Some(name) = name.filter(|name| needs_own_certificate(name, &self.domains)) else {
            return self.shared_presented.clone();
        };
        let issue = || {
            let issued = self.authority.issue_like(&self.shared, GATEWAY, &name, (self.now)())?;
            Ok::<_, authority::Failure>(Presented::new(&issued)?)
        };
        self.single.get_or_insert_with(name.as_str(), issue).unwrap_or_else(|cause| {
            tracing::error!(%cause, "certificate for a server name not created");
            self.shared_presented.clone()
        })
    }
}

/// The domains in lower case without outer dots, and `localhost` as the last one.
fn with_localhost(domains: &[String]) -> Vec<String> {
    let domains = domains.iter().map(|domain| domain.trim_matches('.').to_ascii_lowercase());
    let mut domains: Vec<String> =
        domains.filter(|domain| !domain.is_empty() && domain != "localhost").collect();
    domains.push("localhost".into());
    domains
}

/// The names in the shared certificate.
fn names(domains: &[String]) -> Vec<String> {
    let loopback = ["127.0.0.1", "::1"].map(String::from);
    let below = domains.iter().flat_map(|domain| [domain.clone(), format!("*.{domain}")]);
    loopback.into_iter().chain(below).collect()
}

/// Whether a name consists of a routing ID and a domain of one label.
fn needs_own_certificate(name: &str, domains: &[String]) -> bool {
    name.split_once('.').is_some_and(|(label, domain)| {
        !domain.contains('.') && domains.iter().any(|known| known == domain) && is_routing_id(label)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_clusters_below_a_domain_of_one_label_get_their_own_certificate() {
        let domains = with_localhost(&["lan".into(), ".SQL.example.com.".into()]);
        assert_eq!(domains, ["lan", "sql.example.com", "localhost"]);
        for name in ["shop-12.localhost", "blue-dog-7.lan"] {
            assert!(needs_own_certificate(name, &domains), "{name}");
        }
        for name in
            ["localhost", "shop.localhost", "a.b-1.localhost", "shop-12.sql.example.com", "shop-12.com"]
        {
            assert!(!needs_own_certificate(name, &domains), "{name}");
        }
    }

    #[test]
    fn a_name_gets_the_same_certificate_again_and_many_names_do_not_fill_the_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let certificates = Certificates::open(folder.path(), &[], SystemTime::now).expect("certificates");
        let first = certificates.select(Some("shop-1.localhost"));
        assert!(Arc::ptr_eq(&first, &certificates.select(Some("shop-1.localhost"))));
        assert_ne!(first.channel_binding, certificates.select(None).channel_binding);
        assert!(Arc::ptr_eq(&certificates.select(None), &certificates.select(Some("example.com"))));
        for number in 0..2 * MAX_NAMES {
            certificates.select(Some(&format!("shop-{number}.localhost")));
        }
        assert!(certificates.single.len() <= MAX_NAMES, "{}", certificates.single.len());
    }

    proptest! {
        #[test]
        fn no_server_name_panics(name in ".{0,80}") {
            needs_own_certificate(&name, &with_localhost(&[]));
        }
    }
}
