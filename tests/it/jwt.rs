//! Tokens of another issuer, which runs in the test.

use crate::{
    sessions::person,
    support::{audit_log, column, id},
};
use axum::{Router, extract::State, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use ootheca_testkit::{Answer, Client, Ootheca, ServerBuilder};
use rcgen::PublicKeyData;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

const ISSUERS: &str = "/jwt-issuers";

/// A signing key of the issuer.
struct Key {
    kid: String,
    algorithm: Algorithm,
    signs: EncodingKey,
    /// The raw public key.
    raw: Vec<u8>,
}

impl Key {
    fn new(kid: &str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            _ => &rcgen::PKCS_RSA_SHA256,
        };
        let pair = rcgen::KeyPair::generate_for(kind).expect("a key");
        let pem = pair.serialize_pem();
        let signs = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        let signs = signs.expect("a key that signs");
        Self { kid: kid.to_owned(), algorithm, signs, raw: pair.der_bytes().to_vec() }
    }

    fn public(&self) -> Value {
        if self.algorithm == Algorithm::EdDSA {
            let x = URL_SAFE_NO_PAD.encode(&self.raw);
            return json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid });
        }
        let mut jwk = Jwk::from_encoding_key(&self.signs, self.algorithm).expect("a public key");
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).expect("JSON")
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.signs).expect("a token")
    }
}

/// An OpenID Connect issuer.
struct Issuer {
    address: SocketAddr,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Clone)]
struct Shared {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn start(keys: &[&Key]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let keys = Arc::new(Mutex::new(keys.iter().map(|key| key.public()).collect()));
        let asked = Arc::new(AtomicUsize::new(0));
        let shared = Shared { url: format!("http://{address}"), keys: keys.clone(), asked: asked.clone() };
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async |State(shared): State<Shared>| {
                    json!({ "issuer": shared.url, "jwks_uri": format!("{}/keys", shared.url) }).to_string()
                }),
            )
            .route(
                "/keys",
                get(async |State(shared): State<Shared>| {
                    shared.asked.fetch_add(1, Ordering::SeqCst);
                    json!({ "keys": *shared.keys.lock().expect("no panic") }).to_string()
                }),
            )
            .with_state(shared);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let stopped = tokio::task::spawn_blocking(move || {
                    let _ = stopped.recv();
                });
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, keys, asked, stop: Some(stop), thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn rotate(&self, keys: &[&Key]) {
        *self.keys.lock().expect("no panic") = keys.iter().map(|key| key.public()).collect();
    }

    /// Valid claims of this issuer for `subject`.
    fn claims(&self, subject: &str) -> Value {
        json!({ "iss": self.url(), "aud": "ootheca", "sub": subject, "exp": now() + 600 })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn server() -> Ootheca {
    ServerBuilder::new(crate::support::PROGRAM).arg("--test-clock").boot()
}

fn advance(server: &Ootheca, seconds: u64) {
    server.raw("POST", "/api/ootheca/v1/clock").json(&json!({ "advance_seconds": seconds })).send().ok();
}

fn ask(client: &Client, token: &str, vanity: &str) -> Answer {
    let client = client.with_key(token);
    client.request("GET", "/service-accounts").header("cc-vanity-name", vanity).send()
}

#[track_caller]
fn refused(server: &Ootheca, token: &str, why: &str) {
    let answer = ask(server, token, "ootheca");
    assert_eq!(answer.status, 401, "{why}: {answer}");
    assert_eq!(answer.refused(401), "token bearer cannot be authenticated", "{why}");
}

#[test]
fn a_token_has_the_roles_of_its_person() {
    let server = server();
    let keys = [
        Key::new("ec", Algorithm::ES256),
        Key::new("ed", Algorithm::EdDSA),
        Key::new("rsa", Algorithm::RS256),
        Key::new("pss", Algorithm::PS384),
    ];
    let issuer = Issuer::start(&keys.iter().collect::<Vec<_>>());
    person(&server, "ada@example.com", &["ORG_ADMIN"]);
    person(&server, "bob@example.com", &[]);
    let map = json!([
        { "token_identity": r"/^sso_(.*)$", "cc_identity": r"\1@example.com" },
        { "token_identity": "robot", "cc_identity": server.get("/service-accounts").text("/service_accounts/0/id") },
    ]);
    let body = json!({ "issuer_url": issuer.url(), "audience": "ootheca", "identity_map": map });
    server.post(ISSUERS, body).ok();
    for key in &keys {
        let token = key.sign(&issuer.claims("sso_ada"));
        ask(&server, &token, "ootheca").ok();
        let answer = ask(&server, &token, "another");
        assert_eq!(answer.status, 401, "{answer}");
        let answer = server.with_key(&token).get("/service-accounts");
        assert_eq!(answer.status, 401, "without Cc-Vanity-Name: {answer}");
        // Bob is authenticated but not authorized.
        assert_eq!(ask(&server, &key.sign(&issuer.claims("sso_bob")), "ootheca").status, 403);
    }
    assert_eq!(issuer.asked(), 1, "the keys are fetched once");
    let robot = keys[0].sign(&issuer.claims("robot"));
    ask(&server, &robot, "ootheca").ok();
    // The audit entry contains the name of the person.
    let client = server.with_key(&keys[0].sign(&issuer.claims("sso_ada")));
    let request = client.request("POST", "/service-accounts").header("cc-vanity-name", "ootheca");
    request.json(&json!({ "name": "made", "description": "", "roles": [] })).send().ok();
    let entry = audit_log(&server).pop().expect("an entry");
    assert_eq!(entry["user_email"], "ada@example.com", "{entry}");
}

#[test]
fn invalid_tokens_are_refused() {
    let server = server();
    let (key, other) = (Key::new("good", Algorithm::ES256), Key::new("good", Algorithm::ES256));
    let issuer = Issuer::start(&[&key]);
    person(&server, "ada@example.com", &["ORG_ADMIN"]);
    let made = server.post(ISSUERS, json!({ "issuer_url": issuer.url(), "audience": "ootheca" }));
    let with = |name: &str, value: Value| {
        let mut claims = issuer.claims("ada@example.com");
        claims[name] = value;
        claims
    };
    let good = key.sign(&issuer.claims("ada@example.com"));
    ask(&server, &good, "ootheca").ok();
    ask(&server, &key.sign(&with("aud", json!(["x", "ootheca"]))), "ootheca").ok();
    ask(&server, &key.sign(&with("nbf", json!(now() - 5))), "ootheca").ok();
    let mut wrong = vec![
        ("another key", other.sign(&issuer.claims("ada@example.com"))),
        ("another issuer", key.sign(&with("iss", json!("https://issuer.example.com")))),
        ("a longer issuer", key.sign(&with("iss", json!(format!("{}/", issuer.url()))))),
        ("another audience", key.sign(&with("aud", json!("other")))),
        ("no audience", key.sign(&with("aud", Value::Null))),
        ("expired", key.sign(&with("exp", json!(now() - 60)))),
        ("no end", key.sign(&with("exp", Value::Null))),
        ("not yet", key.sign(&with("nbf", json!(now() + 300)))),
        ("nobody", key.sign(&with("sub", json!("eve@example.com")))),
        ("no subject", key.sign(&with("sub", Value::Null))),
        ("no token", "a.b.c".to_owned()),
    ];
    let parts: Vec<&str> = good.split('.').collect();
    wrong.push(("no signature", format!("{}.{}.", parts[0], parts[1])));
    // {"alg":"none"}
    wrong.push(("alg none", format!("eyJhbGciOiJub25lIn0.{}.", parts[1])));
    // Signed with the public key as if it were a shared secret.
    let secret = EncodingKey::from_secret(key.public().to_string().as_bytes());
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("good".to_owned());
    let claims = issuer.claims("ada@example.com");
    wrong.push(("HS256", jsonwebtoken::encode(&header, &claims, &secret).expect("a token")));
    for (why, token) in &wrong {
        refused(&server, token, why);
    }
    // A person that is deactivated or removed, or whose issuer is removed, is no longer authenticated.
    server.patch(&format!("{ISSUERS}/{}", id(made.ok())), json!({ "audience": "other" })).ok();
    refused(&server, &good, "the issuer has another audience now");
    server.patch(&format!("{ISSUERS}/{}", id(made.ok())), json!({ "audience": "ootheca" })).ok();
    ask(&server, &good, "ootheca").ok();
    server.delete(&format!("{ISSUERS}/{}", id(made.ok()))).ok();
    refused(&server, &good, "the issuer is deleted");
}

#[test]
fn keys_rotate_and_downloads_are_limited() {
    let server = server();
    let (old, new, never) = (
        Key::new("old", Algorithm::ES256),
        Key::new("new", Algorithm::ES256),
        Key::new("x", Algorithm::ES256),
    );
    let issuer = Issuer::start(&[&old]);
    person(&server, "ada@example.com", &["ORG_ADMIN"]);
    server.post(ISSUERS, json!({ "issuer_url": issuer.url(), "audience": "ootheca" })).ok();
    let token = |key: &Key| {
        let mut claims = issuer.claims("ada@example.com");
        claims["exp"] = json!(now() + 24 * 3600);
        key.sign(&claims)
    };
    ask(&server, &token(&old), "ootheca").ok();
    issuer.rotate(&[&old, &new]);
    // The last request was less than a minute ago, so there is no other.
    refused(&server, &token(&new), "the new key, too soon");
    assert_eq!(issuer.asked(), 1);
    advance(&server, 61);
    ask(&server, &token(&new), "ootheca").ok();
    ask(&server, &token(&old), "ootheca").ok();
    assert_eq!(issuer.asked(), 2);
    for _ in 0..5 {
        refused(&server, &token(&never), "an unknown key");
    }
    assert_eq!(issuer.asked(), 2);
    advance(&server, 61);
    for _ in 0..5 {
        refused(&server, &token(&never), "an unknown key");
    }
    assert_eq!(issuer.asked(), 3, "once a minute at most");
    // A revoked key is no longer accepted after a quarter of an hour at most.
    issuer.rotate(&[&new]);
    advance(&server, 15 * 60 + 1);
    refused(&server, &token(&old), "taken back");
    // The cached keys of an issuer that is not reachable are accepted for a while.
    let (kept, gone) = (token(&new), drop(issuer));
    let () = gone;
    advance(&server, 16 * 60);
    ask(&server, &kept, "ootheca").ok();
    advance(&server, 23 * 3600 + 50 * 60);
    refused(&server, &kept, "cached keys expire");
}

#[test]
fn the_caller_selects_one_of_several_identities() {
    let server = server();
    let key = Key::new("inline", Algorithm::ES256);
    let account = id(server.post("/service-accounts", json!({ "name": "robot", "roles": [] })).ok());
    person(&server, "ada@example.com", &["ORG_ADMIN"]);
    let map = json!([
        { "token_identity": "ada", "cc_identity": "Ada@example.com" },
        { "token_identity": "ada", "cc_identity": account },
        { "token_identity": "ada", "cc_identity": "gone@example.com" },
    ]);
    let url = "https://issuer.example.com";
    let jwks = json!({ "keys": [key.public()] }).to_string();
    let body = json!({
        "issuer_url": url, "audience": "ootheca", "claim": "name", "jwks": jwks, "identity_map": map,
    });
    server.post(ISSUERS, body).ok();
    let token = key.sign(&json!({ "iss": url, "aud": "ootheca", "name": "ada", "exp": now() + 600 }));
    refused(&server, &token, "the response does not contain the identity");
    let as_whom = |username: &str| {
        let client = server.with_key(&token);
        let request = client.request("GET", "/service-accounts").header("cc-vanity-name", "ootheca");
        request.header("cc-username", username).send().status
    };
    assert_eq!(as_whom("ADA@example.com"), 200);
    assert_eq!(as_whom(&account), 403, "the service account has no roles");
    assert_eq!(as_whom("gone@example.com"), 401);
    assert_eq!(as_whom("eve@example.com"), 401);
}

#[test]
fn a_person_without_a_password_opens_a_session_by_token() {
    let server = server();
    let key = Key::new("k", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]);
    let body = json!({ "email": "ada@example.com" });
    server.raw("POST", "/api/ootheca/v1/invitations").json(&body).send().ok();
    let issuer_body = json!({ "issuer_url": issuer.url(), "audience": "ootheca", "claim": "email" });
    server.post(ISSUERS, issuer_body).ok();
    let mut claims = issuer.claims("anything");
    claims["email"] = json!("Ada@example.com");
    let mut ada = crate::sessions::Browser::new(&server);
    ada.sign_in(json!({ "jwt": key.sign(&claims) })).ok();
    assert_eq!(ada.api("GET", "/api/ootheca/v1/session", None).ok()["user"]["has_password"], false);
    // A person who has signed in, or calls the API without a session, is not only invited.
    for email in ["ada@example.com", "bob@example.com"] {
        let body = json!({ "email": email });
        let made = server.raw("POST", "/api/ootheca/v1/invitations").json(&body).send();
        claims["email"] = json!(email);
        let caller = server.with_key(&key.sign(&claims));
        let caller = caller.request("GET", "/organization").header("cc-vanity-name", "ootheca");
        caller.clone().send().ok();
        let link = format!("/api/ootheca/v1/invitations/{}", id(made.ok()));
        server.raw("DELETE", &link).send().ok();
        caller.send().ok();
    }
    claims["email_verified"] = json!(false);
    ada.sign_in(json!({ "jwt": key.sign(&claims) })).refused(401);
}

#[test]
fn issuers_are_stored_as_the_official_clients_expect() {
    let server = server();
    let url = "https://issuer.example.com";
    let made = server.post(ISSUERS, json!({ "issuer_url": url, "audience": "a" }));
    let members: Vec<&String> = made.ok().as_object().expect("an object").keys().collect();
    assert_eq!(members, ["audience", "id", "identity_map", "issuer_url"], "unset members are omitted");
    server.post(ISSUERS, json!({ "issuer_url": url, "audience": "a" })).refused(409);
    let path = format!("{ISSUERS}/{}", id(made.ok()));
    let all = json!({
        "audience": "b", "claim": "email", "issuer_url": url, "jwks": "{updated: 1}",
        "identity_map": [{ "token_identity": "x", "cc_identity": "y" }],
    });
    let changed = server.patch(&path, all.clone());
    for (name, value) in all.as_object().expect("an object") {
        assert_eq!(&changed.ok()[name], value, "{name}");
    }
    assert_eq!(server.patch(&path, json!({ "jwks": "", "claim": "" })).ok().get("jwks"), None);
    server.post(ISSUERS, json!({ "issuer_url": "https://a.example.com", "audience": "a" })).ok();
    let listed = server.get(&format!("{ISSUERS}?pagination.limit=1"));
    assert_eq!(column(&listed.ok()["jwt_issuers"], "issuer_url"), ["https://a.example.com"]);
    let next = format!("{ISSUERS}?pagination.page={}", listed.text("/pagination/next_page"));
    assert_eq!(column(&server.get(&next).ok()["jwt_issuers"], "issuer_url"), [url]);
    let shared = json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }).to_string();
    for (name, value) in [
        ("issuer_url", json!("http://issuer.example.com")),
        ("issuer_url", json!("issuer.example.com")),
        ("audience", json!("")),
        ("jwks", json!(shared)),
        ("identity_map", json!([{ "token_identity": "/(", "cc_identity": r"\1" }])),
        ("identity_map", json!([{ "token_identity": "/x(.*)", "cc_identity": "fixed" }])),
    ] {
        let answer = server.patch(&path, json!({ name: value }));
        assert!(answer.refused(400).contains(name), "{answer}");
    }
    assert_eq!(server.delete(&path).text("/id"), id(made.ok()));
    server.delete(&path).refused(404);
    server.get(&path).refused(404);
}
