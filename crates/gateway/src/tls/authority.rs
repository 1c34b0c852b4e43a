//! The certificate authority of the installation, and the certificates that it issues.
//!
//! A folder contains `ca.pem` and `ca-key.pem`, which are created on first use, and two files for each
//! certificate. The authority is never replaced, because clients keep its certificate; a lost `ca.pem` is
//! created again with the same key. A stored certificate is replaced 30 days before it expires, or when it no
//! longer matches the authority, its key, or the names.

use ootheca_durable::file;
use ootheca_model::{Error, Result};
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
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long before its end a certificate is renewed, and how long before its end one that is not ours is
/// warned about.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a stored certificate is for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// The stem of its files: `server` for `server.pem` and `server-key.pem`.
    pub file: &'static str,
    /// The common name of its subject.
    pub common_name: &'static str,
}

/// A certificate chain with its private key.
#[derive(Debug)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    expires: SystemTime,
}

impl Certificate {
    /// Reads a certificate chain and its key from PEM files. The error names the file.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, io::Error> {
        let failed = |file: &Path, cause: &dyn std::fmt::Display| {
            io::Error::other(format!("could not read {}: {cause}", file.display()))
        };
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
        let certificates = certificates.map_err(|cause| failed(chain, &cause))?;
        let leaf = certificates.first().ok_or_else(|| failed(chain, &"it contains no certificate"))?;
        let expires = expiry(leaf).ok_or_else(|| failed(chain, &"its first certificate is invalid"))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| failed(key, &cause))?;
        Ok(Self { chain: certificates, key, expires })
    }

    /// When it expires.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// The certificate of the server itself.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// The configuration of a server that presents it. An error means that it doesn't belong to its key.
    pub fn server_config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config =
            config.with_no_client_auth().with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(config)
    }
}

/// The certificate authority.
pub struct Authority {
    folder: PathBuf,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    expires: SystemTime,
}

impl Authority {
    /// Opens the folder, and creates the authority if it does not exist. The error names the folder.
    pub fn open(folder: &Path, now: SystemTime) -> Result<Self> {
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let pem = open_authority(folder, now)?;
            let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca-key.pem"))?)?;
            let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
            let expires = expiry(&CertificateDer::from_pem_slice(pem.as_bytes())?);
            let expires = expires.ok_or("ca.pem is not a valid certificate")?;
            Ok(Self { folder: folder.to_owned(), pem, issuer, expires })
        };
        open().map_err(|cause| failed(folder, cause))
    }

    /// Its certificate in PEM form, with which clients verify the certificates that it issues.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// When its certificate expires.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// The stored certificate for these names. It is created or replaced if needed.
    pub fn certificate(&self, purpose: Purpose, names: &[String], now: SystemTime) -> Result<Certificate> {
        if let Some(certificate) = self.read(purpose, names, self.renewal_time(now)) {
            return Ok(certificate);
        }
        let create = || {
            self.create(purpose, names, now)?;
            self.read(purpose, names, now).ok_or_else(|| "the new certificate does not verify".into())
        };
        create().map_err(|cause| failed(&self.folder, cause))
    }

    /// A certificate for one name with the key of another certificate. It is not stored.
    pub(super) fn issue_like(
        &self,
        other: &Certificate,
        purpose: Purpose,
        name: &str,
        now: SystemTime,
    ) -> Result<Certificate, Failure> {
        let pair = KeyPair::try_from(&other.key)?;
        let issued = self.params(purpose, &[name.to_owned()], now)?.signed_by(&pair, &self.issuer)?;
        let leaf = issued.der().clone();
        let expires = expiry(&leaf).ok_or("the new certificate is invalid")?;
        Ok(Certificate { chain: vec![leaf], key: other.key.clone_key(), expires })
    }

    /// The time at which a certificate must still be valid, so that it needs no renewal. Nothing outlasts the
    /// authority, so before its end that is the present.
    fn renewal_time(&self, now: SystemTime) -> SystemTime {
        let then = now + RENEW_BEFORE;
        if then < self.expires { then } else { now }
    }

    fn read(&self, purpose: Purpose, names: &[String], then: SystemTime) -> Option<Certificate> {
        let (chain, key) = self.files(purpose);
        let certificate = Certificate::read(&chain, &key).ok()?;
        certificate.server_config(&[]).ok()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        verify(certificate.leaf(), &self.pem, names, then, &provider).ok()?;
        Some(certificate)
    }

    fn create(&self, purpose: Purpose, names: &[String], now: SystemTime) -> Result<(), Failure> {
        let pair = KeyPair::generate()?;
        let pem = self.params(purpose, names, now)?.signed_by(&pair, &self.issuer)?.pem();
        let (certificate, key) = self.files(purpose);
        file::replace(&key, pair.serialize_pem().as_bytes(), 0o600)?;
        file::replace(&certificate, pem.as_bytes(), 0o644)?;
        Ok(())
    }

    fn files(&self, Purpose { file, .. }: Purpose) -> (PathBuf, PathBuf) {
        (self.folder.join(format!("{file}.pem")), self.folder.join(format!("{file}-key.pem")))
    }

    fn params(
        &self,
        purpose: Purpose,
        names: &[String],
        now: SystemTime,
    ) -> Result<CertificateParams, Failure> {
        let expires = self.expires.min(now + CERTIFICATE_LIFE);
        let mut params = params(names.to_vec(), purpose.common_name, now, expires)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(params)
    }
}

fn failed(folder: &Path, cause: Failure) -> Error {
    Error::internal(format!("certificates in {}", folder.display())).because(cause)
}

fn open_authority(folder: &Path, now: SystemTime) -> Result<String, Failure> {
    let (certificate, key) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    match fs::read_to_string(&certificate) {
        Ok(_) if !key.exists() => {
            Err("ca-key.pem is missing: restore it, or remove ca.pem to create a new authority".into())
        }
        Ok(pem) => Ok(pem),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            // With the same key, clients that have the lost certificate accept what is issued from now on.
            let pair = match fs::read_to_string(&key) {
                Ok(pem) => KeyPair::from_pem(&pem)?,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    let pair = KeyPair::generate()?;
                    file::replace(&key, pair.serialize_pem().as_bytes(), 0o600)?;
                    pair
                }
                Err(cause) => return Err(cause.into()),
            };
            let mut params = params(Vec::new(), "Ootheca certificate authority", now, now + AUTHORITY_LIFE)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let pem = params.self_signed(&pair)?.pem();
            file::replace(&certificate, pem.as_bytes(), 0o644)?;
            Ok(pem)
        }
        Err(cause) => Err(cause.into()),
    }
}

fn params(
    names: Vec<String>,
    common_name: &str,
    now: SystemTime,
    expires: SystemTime,
) -> Result<CertificateParams, Failure> {
    let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH);
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Ootheca");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = epoch + since_epoch(now)?.saturating_sub(DAY);
    params.not_after = epoch + since_epoch(expires)?;
    Ok(params)
}

/// When a certificate expires; `None` if it cannot be parsed.
fn expiry(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
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

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
