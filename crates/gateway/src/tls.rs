//! TLS, with certificates from the installation's own certificate authority.
//!
//! A folder contains `ca.pem`, `ca-key.pem`, `server.pem`, and `server-key.pem`, which are created on first
//! use. The authority is never replaced, because clients keep its certificate. The server certificate is
//! replaced 30 days before it expires, or when it no longer matches the authority, its key, or the
//! configured names.

use ootheca_model::{Error, Result};
use ootheca_pg_protocol::channel_binding::tls_server_end_point;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_rustls::TlsAcceptor;

/// The name of the PostgreSQL protocol in ALPN.
pub(crate) const ALPN: &[u8] = b"postgresql";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const SERVER_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The certificate authority, and the gateway's certificate.
pub struct Certificates {
    authority: String,
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
}

impl Certificates {
    /// Opens the folder, and creates or replaces certificates as needed. The certificate is valid for
    /// `localhost`, the loopback addresses, the `domains`, and the names directly below each domain.
    pub fn open(folder: &Path, domains: &[String]) -> Result<Self> {
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let authority = open_authority(folder)?;
            let names = names(domains);
            let (config, leaf) = match read_server_certificate(folder, &authority, &names, SystemTime::now())
            {
                Some(read) => read,
                None => {
                    create_server_certificate(folder, &authority, &names)?;
                    read_server_certificate(folder, &authority, &names, SystemTime::now())
                        .ok_or("the new server certificate does not verify")?
                }
            };
            Ok(Self { authority, config: Arc::new(config), leaf })
        };
        open().map_err(|cause: Failure| {
            Error::internal(format!("certificates of the SQL gateway in {}", folder.display())).because(cause)
        })
    }

    /// The authority's certificate in PEM form, with which clients verify the gateway.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// The gateway's certificate.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.leaf
    }
}

/// The TLS configuration of new connections.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// The channel binding of the certificate.
    pub(crate) channel_binding: Option<Arc<[u8]>>,
}

impl Tls {
    pub(crate) fn new(certificates: &Certificates) -> Self {
        let channel_binding = tls_server_end_point(certificates.leaf()).map(Arc::from);
        Self { acceptor: TlsAcceptor::from(certificates.config()), channel_binding }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn names(domains: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    for domain in domains {
        let domain = domain.trim_matches('.').to_ascii_lowercase();
        if !domain.is_empty() && domain != "localhost" {
            names.extend([domain.clone(), format!("*.{domain}")]);
        }
    }
    names.push("*.localhost".into());
    names
}

fn open_authority(folder: &Path) -> Result<String, Failure> {
    let (certificate, key) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    match fs::read_to_string(&certificate) {
        Ok(_) if !key.exists() => {
            Err("ca-key.pem is missing: restore it, or remove ca.pem to create a new authority".into())
        }
        Ok(pem) => Ok(pem),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let pair = KeyPair::generate()?;
            let mut params = params(Vec::new(), "Ootheca certificate authority", AUTHORITY_LIFE)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let pem = params.self_signed(&pair)?.pem();
            write(&key, &pair.serialize_pem(), 0o600)?;
            write(&certificate, &pem, 0o644)?;
            Ok(pem)
        }
        Err(cause) => Err(cause.into()),
    }
}

fn create_server_certificate(folder: &Path, authority: &str, names: &[String]) -> Result<(), Failure> {
    let authority_key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca-key.pem"))?)?;
    let issuer = Issuer::from_ca_cert_pem(authority, authority_key)?;
    let pair = KeyPair::generate()?;
    let mut params = params(names.to_vec(), "Ootheca SQL gateway", SERVER_LIFE)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let pem = params.signed_by(&pair, &issuer)?.pem();
    write(&folder.join("server-key.pem"), &pair.serialize_pem(), 0o600)?;
    write(&folder.join("server.pem"), &pem, 0o644)?;
    Ok(())
}

fn params(names: Vec<String>, common_name: &str, life: Duration) -> Result<CertificateParams, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Ootheca");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + life;
    Ok(params)
}

/// The TLS configuration from the files, unless clients will reject the certificate within 30 days.
fn read_server_certificate(
    folder: &Path,
    authority: &str,
    names: &[String],
    now: SystemTime,
) -> Option<(ServerConfig, CertificateDer<'static>)> {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(folder.join("server.pem")).ok()?.collect::<Result<_, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server-key.pem")).ok()?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let leaf = chain.first()?.clone();
    verify(&leaf, authority, names, now + RENEW_BEFORE, &provider).ok()?;
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).ok()?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().ok()?;
    config.send_tls13_tickets = 1;
    Some((config, leaf))
}

fn verify(
    leaf: &CertificateDer<'_>,
    authority: &str,
    names: &[String],
    then: SystemTime,
    provider: &Arc<CryptoProvider>,
) -> Result<(), Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let then = UnixTime::since_unix_epoch(then.duration_since(SystemTime::UNIX_EPOCH)?);
    // Every wildcard accompanies its domain, so it suffices to verify the domain.
    for name in names.iter().filter(|name| !name.starts_with('*')) {
        let name = ServerName::try_from(name.as_str())?;
        verifier.verify_server_cert(leaf, &[], &name, &[], then)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(folder: &Path, file: &str) -> String {
        fs::read_to_string(folder.join(file)).expect(file)
    }

    #[test]
    fn certificates_are_created_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Certificates::open(folder.path(), &[]).expect("certificates");
        let server = read(folder.path(), "server.pem");
        for secret in ["ca-key.pem", "server-key.pem"] {
            let mode = fs::metadata(folder.path().join(secret)).expect(secret).permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{secret}");
        }
        let second = Certificates::open(folder.path(), &[]).expect("certificates");
        assert_eq!(first.authority(), second.authority());
        assert_eq!(server, read(folder.path(), "server.pem"));
    }

    #[test]
    fn new_names_replace_the_certificate_but_not_the_authority() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Certificates::open(folder.path(), &[]).expect("certificates");
        let server = read(folder.path(), "server.pem");
        let domains = ["sql.example.com".to_owned()];
        let second = Certificates::open(folder.path(), &domains).expect("certificates");
        assert_eq!(first.authority(), second.authority());
        assert_ne!(server, read(folder.path(), "server.pem"));
        let known = |name: &str| {
            let leaf =
                CertificateDer::from_pem_file(folder.path().join("server.pem")).expect("a certificate");
            let provider = Arc::new(aws_lc_rs::default_provider());
            verify(&leaf, second.authority(), &[name.to_owned()], SystemTime::now(), &provider).is_ok()
        };
        assert!(known("shop-12.sql.example.com") && known("sql.example.com") && known("::1"));
        assert!(!known("example.com") && !known("a.b.sql.example.com"));
    }

    #[test]
    fn certificates_are_renewed_30_days_before_they_expire() {
        let folder = tempfile::tempdir().expect("a folder");
        let created = Certificates::open(folder.path(), &[]).expect("certificates");
        let usable = |days: u32| {
            let then = SystemTime::now() + days * DAY;
            read_server_certificate(folder.path(), created.authority(), &names(&[]), then).is_some()
        };
        assert!(usable(0) && usable(300));
        assert!(!usable(340));
    }

    #[test]
    fn broken_files_are_replaced_but_never_the_authority() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Certificates::open(folder.path(), &[]).expect("certificates");
        fs::write(folder.path().join("server-key.pem"), "not a key").expect("written");
        let second = Certificates::open(folder.path(), &[]).expect("certificates");
        assert_eq!(first.authority(), second.authority());
        fs::remove_file(folder.path().join("ca-key.pem")).expect("removed");
        let error = Certificates::open(folder.path(), &[]).err().expect("an error");
        assert!(error.chain().contains("ca-key.pem"), "{}", error.chain());
    }
}
