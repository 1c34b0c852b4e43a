//! Sessions of the console, as a browser uses them.

use crate::support::{PROGRAM, audit_log, simulated, trace};
use ootheca_testkit::{Answer, Client, Ootheca, ServerBuilder};
use serde_json::{Value, json};

/// A password that every rule accepts.
pub(crate) const PASSWORD: &str = "correct horse battery";

const SESSION: &str = "/api/ootheca/v1/session";

/// The cookies and tokens of a browser.
pub(crate) struct Browser {
    client: Client,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf_token: Option<String>,
}

impl Browser {
    pub(crate) fn new(server: &Ootheca) -> Self {
        Self { client: server.anonymous(), cookie: None, csrf_token: None }
    }

    /// Signs in, and keeps the cookies and the token.
    pub(crate) fn sign_in(&mut self, body: Value) -> Answer {
        let answer = self.client.raw("POST", SESSION).json(&body).send();
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
            self.csrf_token = answer.body["csrf_token"].as_str().map(str::to_owned);
        }
    }

    /// Sends a request as a page of the console does.
    pub(crate) fn api(&mut self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.raw(method, path);
        for (name, value) in [("cookie", &self.cookie), ("x-csrf-token", &self.csrf_token)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let answer = match body {
            Some(body) => request.json(&body).send(),
            None => request.send(),
        };
        self.keep(&answer);
        answer
    }

    /// Sends the cookie alone, as a page of `origin` would.
    fn forged(&self, method: &str, path: &str, origin: Option<&str>) -> Answer {
        let cookie = self.cookie.as_deref().expect("a cookie");
        let mut request = self.client.raw(method, path).header("cookie", cookie);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.json(&json!({})).send()
    }
}

/// A signed-in person with these roles.
pub(crate) fn person(server: &Ootheca, email: &str, roles: &[&str]) -> Browser {
    let body = json!({ "email": email, "roles": roles });
    let made = server.raw("POST", "/api/ootheca/v1/invitations").json(&body).send();
    let mut browser = Browser::new(server);
    browser.sign_in(json!({ "link_token": made.text("/link_token"), "password": PASSWORD })).ok();
    browser
}

fn by_password(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

#[test]
fn the_cookie_is_hidden_from_scripts_and_other_sites() {
    let server = simulated();
    person(&server, "ada@example.com", &[]);
    let mut ada = Browser::new(&server);
    let answer = ada.sign_in(by_password("Ada@Example.com", PASSWORD));
    let cookie = answer.header("set-cookie").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"] {
        assert!(cookie.split("; ").any(|found| found == part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = by_password("ada@example.com", PASSWORD);
    let anonymous = server.anonymous();
    let forwarded = anonymous.raw("POST", SESSION).header("x-forwarded-proto", "https");
    let answer = forwarded.json(&body).send();
    assert!(
        !answer.header("set-cookie").expect("a cookie").contains("Secure"),
        "no proxy is trusted: {answer}"
    );
    let token = ada.cookie.clone().expect("a cookie").split_once('=').expect("a value").1.to_owned();
    let who = ada.api("GET", SESSION, None);
    assert_eq!(who.text("/user/email"), "ada@example.com");
    assert_eq!(who.text("/organization/label"), "ootheca");
    assert_eq!(who.ok()["roles"][0]["name"], "ORG_MEMBER");
    assert!(!who.to_string().contains(&token), "the token is in the cookie only");
}

#[test]
fn cookies_are_secure_behind_a_trusted_proxy_with_tls() {
    let server = ServerBuilder::new(PROGRAM).env("OOTHECA_TRUSTED_PROXIES", "[\"127.0.0.1/32\"]").boot();
    person(&server, "ada@example.com", &[]);
    let anonymous = server.anonymous();
    for (scheme, secure) in [("https", true), ("http", false)] {
        let request = anonymous.raw("POST", SESSION).header("x-forwarded-proto", scheme);
        let answer = request.json(&by_password("ada@example.com", PASSWORD)).send();
        let cookie = answer.header("set-cookie").expect("a cookie");
        assert_eq!(cookie.contains("; Secure"), secure, "{answer}");
    }
}

#[test]
fn a_change_requires_the_csrf_token_or_the_same_origin() {
    let server = simulated();
    let mut ada = person(&server, "ada@example.com", &["ORG_ADMIN"]);
    let path = "/api/v1/service-accounts";
    // Reading is harmless: the page of another site cannot read the response.
    ada.forged("GET", path, Some("https://evil.example")).ok();
    let own = format!("http://{}", server.address());
    for origin in [None, Some("https://evil.example"), Some("null")] {
        for (method, path) in [("POST", path), ("DELETE", SESSION), ("POST", "/api/ootheca/v1/invitations")] {
            let answer = ada.forged(method, path, origin);
            assert!(answer.refused(403).contains("cross-site"), "{answer}");
        }
    }
    let body = json!({ "name": "robot", "description": "", "roles": [] });
    ada.api("POST", path, Some(body.clone())).ok();
    let cookie = ada.cookie.clone().expect("a cookie");
    let request = server.anonymous();
    let request = request.raw("POST", path).header("cookie", &cookie).header("origin", &own);
    request.json(&body).send().ok();
    ada.csrf_token = Some("0".repeat(64));
    ada.api("POST", path, Some(body)).refused(403);
    // Another site cannot sign a person in either.
    let foreign = server.anonymous();
    let foreign = foreign.raw("POST", SESSION).header("origin", "https://evil.example");
    foreign.json(&by_password("ada@example.com", PASSWORD)).send().refused(403);
    let by_ui = audit_log(&server).into_iter().filter(|entry| entry["source"] == "AUDIT_LOG_SOURCE_UI");
    let by_ui: Vec<Value> =
        by_ui.filter(|entry| entry["action"] == "AUDIT_LOG_ACTION_CREATE_SERVICE_ACCOUNT").collect();
    assert_eq!(by_ui.len(), 2, "{by_ui:#?}");
    assert!(by_ui.iter().all(|entry| entry["user_email"] == "ada@example.com"), "{by_ui:#?}");
}

#[test]
fn audit_entries_contain_the_session_but_not_its_token() {
    let server = simulated();
    let mut first = person(&server, "ada@example.com", &["ORG_ADMIN"]);
    let mut second = Browser::new(&server);
    second.sign_in(by_password("ada@example.com", PASSWORD)).ok();
    Browser::new(&server).sign_in(by_password("ada@example.com", "wrong horse battery")).refused(401);
    let robot = |name: &str| Some(json!({ "name": name, "description": "", "roles": [] }));
    let id = |browser: &mut Browser| browser.api("GET", SESSION, None).text("/session/id");
    let ids = [id(&mut first), id(&mut second)];
    let mut traces = Vec::new();
    for browser in [&mut first, &mut second] {
        for path in ["/api/v1/service-accounts", "/api/v1/service-accounts?dry_run=perhaps"] {
            traces.push(trace(&browser.api("POST", path, robot("robot"))));
        }
        let invited = json!({ "email": "bob@example.com", "roles": [] });
        traces.push(trace(&browser.api("POST", "/api/ootheca/v1/invitations", Some(invited))));
    }
    traces.push(trace(&server.post("/service-accounts", robot("by a key").expect("a body"))));
    let log = audit_log(&server);
    let session_of = |entry: &Value| entry.get("session_id").cloned();
    let sessions: Vec<_> = traces
        .iter()
        .map(|trace| log.iter().find(|entry| entry["trace_id"] == trace.as_str()).and_then(session_of))
        .collect();
    let [one, two] = ids.each_ref().map(|id| Some(json!(id)));
    assert_ne!(one, two);
    let wanted = [&one, &one, &one, &two, &two, &two].map(Clone::clone);
    assert_eq!(sessions[..6], wanted);
    assert_eq!(sessions[6], None, "a key has no session");
    // A successful sign-in writes an entry with the session; a failed one writes an entry without.
    let came = |action: &str, failed: bool| {
        let action = format!("AUDIT_LOG_ACTION_{action}");
        let entries = log.iter().filter(|entry| entry["action"] == action.as_str());
        entries.filter(|entry| entry["error"].is_string() == failed).map(session_of).collect::<Vec<_>>()
    };
    assert_eq!(came("ACCEPT_USER_INVITE", false), [one]);
    assert_eq!((came("USER_LOGIN", false), came("USER_LOGIN", true)), (vec![two], vec![None]));
    for browser in [&first, &second] {
        let cookie = browser.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a cookie");
        assert!(!json!(log).to_string().contains(cookie.1), "the token is in the cookie only");
    }
}

#[test]
fn wrong_passwords_and_unknown_addresses_return_the_same_error() {
    let server = simulated();
    person(&server, "ada@example.com", &[]);
    let tries = [
        by_password("ada@example.com", "wrong horse battery"),
        by_password("nobody@example.com", PASSWORD),
        by_password("ada@example.com", ""),
        json!({ "email": "ada@example.com" }),
    ];
    for body in tries {
        let answer = Browser::new(&server).sign_in(body);
        assert_eq!(answer.refused(401), "wrong email address or password");
        assert_eq!(answer.header("set-cookie"), None);
    }
    for body in
        [json!({}), json!({ "password": PASSWORD }), json!({ "email": "a", "link_token": "b" }), json!([])]
    {
        Browser::new(&server).sign_in(body).refused(400);
    }
    let log = audit_log(&server);
    let logins = log.iter().filter(|entry| entry["action"] == "AUDIT_LOG_ACTION_USER_LOGIN");
    let failed: Vec<&Value> = logins.filter(|entry| entry["error"].is_string()).collect();
    assert_eq!(failed.len(), 4, "{log:#?}");
    let named = failed.iter().filter(|entry| entry["user_email"] == "ada@example.com").count();
    assert_eq!(named, 3, "an unknown person is not named in the entry");
    assert!(!json!(log).to_string().contains("horse"), "a password in the audit log");
}

#[test]
fn sessions_end_on_sign_out_revocation_and_password_change() {
    let server = simulated();
    let mut one = person(&server, "ada@example.com", &[]);
    let enter = || {
        let mut browser = Browser::new(&server);
        browser.sign_in(by_password("ada@example.com", PASSWORD)).ok();
        browser
    };
    let (mut two, mut three) = (enter(), enter());
    let stale =
        Browser { cookie: two.cookie.clone(), csrf_token: two.csrf_token.clone(), ..Browser::new(&server) };
    two.api("DELETE", SESSION, None).ok();
    let mut two = stale;
    two.api("GET", SESSION, None).refused(401);
    let listed = one.api("GET", "/api/ootheca/v1/sessions", None);
    let sessions = listed.ok()["sessions"].as_array().expect("sessions").clone();
    assert_eq!(sessions.len(), 2, "{listed}");
    let other = sessions.iter().find(|session| session["current"] == false).expect("another one");
    let path = format!("/api/ootheca/v1/sessions/{}", other["id"].as_str().expect("an id"));
    let mut bob = person(&server, "bob@example.com", &["CLUSTER_ADMIN"]);
    bob.api("DELETE", &path, None).refused(404);
    one.api("DELETE", &path, None).ok();
    three.api("GET", SESSION, None).refused(401);
    let mut four = enter();
    let change = |old: &str| Some(json!({ "old_password": old, "new_password": "another long password" }));
    one.api("PUT", "/api/ootheca/v1/session/password", change("wrong horse battery")).refused(403);
    let before = one.cookie.clone();
    one.api("PUT", "/api/ootheca/v1/session/password", change(PASSWORD)).ok();
    assert_ne!(one.cookie, before);
    one.api("GET", SESSION, None).ok();
    four.api("GET", SESSION, None).refused(401);
    Browser::new(&server).sign_in(by_password("ada@example.com", PASSWORD)).refused(401);
    Browser::new(&server).sign_in(by_password("ada@example.com", "another long password")).ok();
    // An administrator can end the sessions of other people.
    let id = bob.api("GET", SESSION, None).text("/session/id");
    server.raw("DELETE", &format!("/api/ootheca/v1/sessions/{id}")).send().ok();
    bob.api("GET", SESSION, None).refused(401);
    // An API key is not a session.
    server.raw("GET", SESSION).send().refused(401);
}

#[test]
fn signing_out_has_an_audit_entry() {
    let server = simulated();
    let mut ada = person(&server, "ada@example.com", &[]);
    let mut bob = person(&server, "bob@example.com", &[]);
    let mut eve = person(&server, "eve@example.com", &[]);
    let id = bob.api("GET", SESSION, None).text("/session/id");
    let path = format!("/api/ootheca/v1/sessions/{id}");
    let refused = trace(&eve.api("DELETE", &path, None));
    let by_admin = trace(&server.raw("DELETE", &path).send());
    let left = trace(&ada.api("DELETE", SESSION, None));
    let log = audit_log(&server);
    let entry = |trace: &str| {
        let found: Vec<&Value> = log.iter().filter(|entry| entry["trace_id"] == trace).collect();
        assert_eq!(found.len(), 1, "{log:#?}");
        assert_eq!(found[0]["action"], "AUDIT_LOG_ACTION_UPDATE_USER", "{}", found[0]);
        found[0]
    };
    assert_eq!(entry(&refused)["error"], "session does not exist");
    assert_eq!(entry(&refused)["user_email"], "eve@example.com");
    assert!(entry(&by_admin)["payload"].as_str().is_some_and(|payload| payload.contains(&id)), "{log:#?}");
    assert_eq!(
        (&entry(&left)["error"], &entry(&left)["user_email"]),
        (&Value::Null, &json!("ada@example.com"))
    );
}

#[test]
fn sessions_expire_and_survive_a_restart() {
    let mut server = ServerBuilder::new(crate::support::PROGRAM).arg("--test-clock").boot();
    let mut ada = person(&server, "ada@example.com", &[]);
    server.restart();
    let kept = (ada.cookie.clone(), ada.csrf_token.clone());
    ada = Browser { cookie: kept.0, csrf_token: kept.1, ..Browser::new(&server) };
    let advance = |server: &Ootheca, minutes: i64| {
        let body = json!({ "advance_seconds": minutes * 60 });
        server.raw("POST", "/api/ootheca/v1/clock").json(&body).send().ok();
    };
    // A session that is used every eleven hours ends after a week.
    for _ in 0..15 {
        ada.api("GET", SESSION, None).ok();
        advance(&server, 11 * 60);
    }
    advance(&server, 4 * 60);
    ada.api("GET", SESSION, None).refused(401);
    let mut ada = Browser::new(&server);
    ada.sign_in(by_password("ada@example.com", PASSWORD)).ok();
    advance(&server, 12 * 60);
    ada.api("GET", SESSION, None).refused(401);
}
