//! HTTPS of the API and the console: with a certificate of our own authority, and with files of the operator.

use crate::{
    cli::Cli,
    sessions::{Browser, PASSWORD},
    support::PROGRAM,
};
use ootheca_testkit::{Folder, Ootheca, ServerBuilder, eventually};
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
};

fn self_signed() -> Ootheca {
    ServerBuilder::new(PROGRAM).env("OOTHECA_TLS__SELF_SIGNED", "true").boot()
}

fn figures(server: &Ootheca) -> String {
    String::from_utf8_lossy(&server.raw("GET", "/metrics").send().bytes).into_owned()
}

#[test]
fn everything_works_over_https_with_a_certificate_of_our_own_authority() {
    let server = self_signed();
    assert!(server.base().starts_with("https://127.0.0.1:"), "{}", server.base());
    server.create_cluster("some-cluster", "BASIC");
    let document = server.raw("GET", "/api/v1/openapi.json").send();
    assert_eq!(document.text("/servers/0/url"), server.base());
    assert!(server.log().contains(&format!("{}/link#", server.base())), "the sign-in link");
    let text = figures(&server);
    for certificate in ["api", "sql", "authority"] {
        let series = format!("ootheca_certificate_expiry_timestamp_seconds{{certificate=\"{certificate}\"}}");
        assert!(text.contains(&series), "{text}");
    }

    let body = json!({ "email": "ann@example.com", "roles": [] });
    let invited = server.raw("POST", "/api/ootheca/v1/invitations").json(&body).send();
    assert!(invited.text("/link").starts_with(server.base()), "{invited}");
    let body = json!({ "link_token": invited.text("/link_token"), "password": PASSWORD });
    let signed_in = Browser::new(&server).sign_in(body);
    assert!(signed_in.header("set-cookie").expect("a cookie").contains("; Secure"), "{signed_in}");
}

#[test]
fn the_command_line_verifies_the_server() {
    let server = self_signed();
    let key = server.admin_key();
    let file = server.data_dir().join("certificates/ca.pem").to_string_lossy().into_owned();
    Cli::beside(&server).run(&["cluster", "list"]).ok();

    let elsewhere = || Cli::new().with("OOTHECA_SERVER", server.base()).with("OOTHECA_API_KEY", &key);
    let refused = elsewhere().run(&["cluster", "list"]);
    assert!(refused.fails(5).contains("--ca-file"), "{refused:?}");
    elsewhere().run(&["cluster", "list", "--ca-file", &file]).ok();
    elsewhere().with("OOTHECA_CA_FILE", &file).run(&["cluster", "list"]).ok();
    let wrong = elsewhere().run(&["cluster", "list", "--ca-file", "/dev/null"]);
    assert!(wrong.fails(2).contains("/dev/null: it contains no certificate"), "{wrong:?}");

    let cli = Cli::new();
    cli.run_with(&format!("{key}\n"), &["login", "--server", server.base(), "--ca-file", &file]).ok();
    cli.run(&["cluster", "list"]).ok();
}

/// Python uses OpenSSL, as most SDKs do.
#[test]
fn openssl_accepts_the_certificate() {
    let server = self_signed();
    let script = "import ssl, sys, urllib.request\n\
                  context = ssl.create_default_context(cafile=sys.argv[1])\n\
                  urllib.request.urlopen(sys.argv[2] + '/healthz', context=context)";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(server.data_dir().join("certificates/ca.pem"))
        .arg(server.base().replace("127.0.0.1", "localhost"))
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn plain_http_gets_an_explanation() {
    let server = self_signed();
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a response");
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("use an address with https://"), "{text}");
}

/// Writes a certificate for `localhost` that is its own authority.
fn write_certificate(folder: &Path) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let pair = rcgen::generate_simple_self_signed(names).expect("a certificate");
    fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).expect("written");
    fs::write(folder.join("certificate.pem"), pair.cert.pem()).expect("written");
}

fn with_files(folder: &Path) -> ServerBuilder {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    ServerBuilder::new(PROGRAM)
        .env("OOTHECA_TLS__CERTIFICATE", &path("certificate.pem"))
        .env("OOTHECA_TLS__KEY", &path("key.pem"))
}

#[test]
fn replaced_files_are_used_without_a_restart() {
    let folder = Folder::new();
    write_certificate(folder.path());
    let server = with_files(folder.path()).boot();
    assert_eq!(server.raw("GET", "/healthz").send().status, 200);
    fs::write(folder.path().join("key.pem"), "not a key").expect("written");
    eventually("the error is in the log", || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("certificate of the API not read"))?;
        assert!(line.contains("key.pem"), "{line}");
        Some(())
    });
    assert_eq!(server.raw("GET", "/healthz").send().status, 200, "the previous one remains in use");
    write_certificate(folder.path());
    // The client trusts the file that it reads, so it succeeds only with the new certificate.
    eventually("the new certificate is used", || {
        server.trusting(&folder.path().join("certificate.pem")).raw("GET", "/healthz").try_send().ok()
    });
    assert!(server.raw("GET", "/healthz").try_send().is_err(), "the previous one is no longer used");
}

#[test]
fn unusable_certificates_prevent_a_start() {
    let folder = Folder::new();
    write_certificate(folder.path());
    let starts = |server: ServerBuilder| server.idle().try_start().expect_err("refused");
    let said = starts(with_files(folder.path()).without_env("OOTHECA_TLS__KEY"));
    assert!(said.contains("tls.key: is required, because tls.certificate is set"), "{said}");
    let said = starts(with_files(folder.path()).env("OOTHECA_TLS__SELF_SIGNED", "true"));
    assert!(said.contains("tls.self_signed: must be false"), "{said}");
    let said = starts(with_files(folder.path()).env("OOTHECA_TLS__KEY", "/nowhere/key.pem"));
    assert!(said.contains("tls: could not read /nowhere/key.pem"), "{said}");
    let other = Folder::new();
    write_certificate(other.path());
    let key = other.path().join("key.pem").to_string_lossy().into_owned();
    let said = starts(with_files(folder.path()).env("OOTHECA_TLS__KEY", &key));
    assert!(said.contains("tls.key: must be the private key of the certificate"), "{said}");
}

#[test]
fn all_addresses_are_allowed_with_tls() {
    let server = ServerBuilder::new(PROGRAM).env("OOTHECA_TLS__SELF_SIGNED", "true");
    let server = server.listening("0.0.0.0:0").boot();
    Cli::beside(&server).run(&["cluster", "list"]).ok();
}
