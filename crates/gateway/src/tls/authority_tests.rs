use super::*;
use std::os::unix::fs::PermissionsExt as _;

const SERVER: Purpose = Purpose { file: "server", common_name: "server" };

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).expect(file)
}

fn open(folder: &Path) -> Authority {
    Authority::open(folder, SystemTime::now()).expect("an authority")
}

fn create(folder: &Path, names: &[&str], now: SystemTime) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    open(folder).certificate(SERVER, &names, now).expect("a certificate")
}

#[test]
fn certificates_are_created_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = open(folder.path());
    let first = create(folder.path(), &["localhost"], SystemTime::now());
    for secret in ["ca-key.pem", "server-key.pem"] {
        let mode = fs::metadata(folder.path().join(secret)).expect(secret).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    assert_eq!(authority.pem(), open(folder.path()).pem());
    assert_eq!(first.leaf(), create(folder.path(), &["localhost"], SystemTime::now()).leaf());
}

#[test]
fn new_names_replace_the_certificate_but_not_the_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = open(folder.path());
    let first = create(folder.path(), &["::1"], SystemTime::now());
    let names = ["::1", "sql.example.com", "*.sql.example.com"];
    let second = create(folder.path(), &names, SystemTime::now());
    assert_eq!(authority.pem(), open(folder.path()).pem());
    assert_ne!(first.leaf(), second.leaf());
    let known = |name: &str| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        verify(second.leaf(), authority.pem(), &[name.to_owned()], SystemTime::now(), &provider).is_ok()
    };
    assert!(known("shop-12.sql.example.com") && known("sql.example.com") && known("::1"));
    assert!(!known("example.com") && !known("a.b.sql.example.com"));
}

#[test]
fn certificates_are_renewed_30_days_before_they_expire() {
    let folder = tempfile::tempdir().expect("a folder");
    let created = SystemTime::now();
    let first = create(folder.path(), &["localhost"], created);
    let after = |days: u32| create(folder.path(), &["localhost"], created + days * DAY);
    assert_eq!(after(300).leaf(), first.leaf());
    let second = after(340);
    assert_ne!(second.leaf(), first.leaf());
    assert!(second.expires() > created + 700 * DAY, "{:?}", second.expires());
}

#[test]
fn certificates_end_with_the_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = open(folder.path());
    let late = authority.expires() - 10 * DAY;
    let certificate = create(folder.path(), &["localhost"], late);
    assert_eq!(certificate.expires(), authority.expires());
    let again = create(folder.path(), &["localhost"], late + DAY);
    assert_eq!(again.leaf(), certificate.leaf(), "nothing better can be issued");
}

#[test]
fn broken_files_are_replaced_but_never_the_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = open(folder.path());
    create(folder.path(), &["localhost"], SystemTime::now());
    fs::write(folder.path().join("server-key.pem"), "not a key").expect("written");
    create(folder.path(), &["localhost"], SystemTime::now());
    assert!(read(folder.path(), "server-key.pem").contains("PRIVATE KEY"));
    assert_eq!(authority.pem(), open(folder.path()).pem());
    fs::remove_file(folder.path().join("ca-key.pem")).expect("removed");
    let error = Authority::open(folder.path(), SystemTime::now()).err().expect("an error");
    assert!(error.chain().contains("ca-key.pem"), "{}", error.chain());
}

#[test]
fn a_lost_certificate_of_the_authority_is_created_again_with_the_same_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = open(folder.path());
    let key = read(folder.path(), "ca-key.pem");
    fs::remove_file(folder.path().join("ca.pem")).expect("removed");
    let issued = create(folder.path(), &["localhost"], SystemTime::now());
    assert_ne!(read(folder.path(), "ca.pem"), old.pem());
    assert_eq!(read(folder.path(), "ca-key.pem"), key);
    let provider = Arc::new(aws_lc_rs::default_provider());
    verify(issued.leaf(), old.pem(), &["localhost".to_owned()], SystemTime::now(), &provider)
        .expect("clients with the old certificate accept it");
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    create(folder.path(), &["localhost"], SystemTime::now());
    let error = |chain: &str, key: &str| {
        let read = Certificate::read(&file(chain), &file(key));
        read.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(error("absent.pem", "server-key.pem").contains("absent.pem"));
    assert!(error("server.pem", "server.pem").contains("server.pem"));
    assert!(error("server-key.pem", "server-key.pem").contains("it contains no certificate"));
    assert_eq!(error("server.pem", "server-key.pem"), "");
}
