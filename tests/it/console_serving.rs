//! The pages of the console, next to the API, and the sign-in link that the server prints when it starts.

use crate::{
    sessions::{Browser, PASSWORD, person},
    support::{PROGRAM, audit_log, simulated},
};
use ootheca_testkit::{Answer, Ootheca, ServerBuilder};
use serde_json::json;

const SESSION: &str = "/api/ootheca/v1/session";

/// What browsers send for a page.
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn page(server: &Ootheca, method: &str, path: &str) -> Answer {
    server.anonymous().raw(method, path).header("accept", ACCEPT).send()
}

#[track_caller]
fn is_a_page(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{answer}");
}

#[test]
fn every_path_beside_the_api_is_the_application() {
    let server = simulated();
    let cluster = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
    let overview = format!("/clusters/{cluster}/overview");
    for path in ["/", "/link", "/clusters", overview.as_str(), "/access/people/ada@example.com", "/apis"] {
        let answer = page(&server, "GET", path);
        is_a_page(&answer);
        assert!(answer.to_string().contains("<title>Ootheca"), "{answer}");
        assert_eq!(answer.header("cc-trace-id"), None, "{path} is not of the API");
    }
    let missing = page(&server, "GET", "/assets/nothing.js");
    assert_eq!(missing.status, 404, "{missing}");
    assert_eq!(missing.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn the_api_keeps_its_paths_and_its_errors() {
    let server = simulated();
    let cluster = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
    assert_eq!(page(&server, "GET", "/healthz").bytes, b"alive\n");
    assert_eq!(page(&server, "GET", "/readyz").bytes, b"ready\n");
    page(&server, "GET", "/metrics").refused(401);
    page(&server, "GET", &format!("/clusters/{cluster}/cert")).refused(404);
    for path in ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/ootheca/v1/nothing"] {
        let answer = page(&server, "GET", path);
        assert!(answer.refused(404).contains("path"), "{answer}");
        assert!(answer.header("cc-trace-id").is_some(), "{answer}");
    }
    for path in ["/", "/clusters", "/nothing"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            page(&server, method, path).refused(404);
        }
    }
    let list = page(&server, "GET", "/api/v1/clusters");
    list.refused(401);
    assert_eq!(list.header("content-security-policy"), None);
}

#[test]
fn clients_of_the_api_never_get_a_page() {
    let server = simulated();
    for path in ["/v1/clusters", "/scim/v2/Users"] {
        assert!(page(&server, "GET", path).refused(404).contains("path"), "{path}");
    }
    for path in ["/", "/clusters", "/nothing", "/v2/clusters", "/ap1/v1/clusters"] {
        for accept in ["*/*", "application/json"] {
            let answer = server.raw("GET", path).header("accept", accept).send();
            assert!(answer.refused(404).contains("path"), "{answer}");
        }
        server.raw("GET", path).send().refused(404);
    }
    // Scripts and styles are requested with any type.
    assert_eq!(server.raw("GET", "/index.html").header("accept", "*/*").send().status, 200);
}

#[test]
fn leading_slashes_of_a_path_count_as_one() {
    let server = simulated();
    for path in ["//api/v1/clusters", "///api/v1/clusters?show_inactive=true"] {
        assert!(server.raw("GET", path).send().ok()["clusters"].is_array(), "{path}");
    }
    assert!(server.raw("GET", "//api/v1/openapi.json").send().ok()["paths"].is_object());
    assert_eq!(server.raw("GET", "//healthz").send().bytes, b"alive\n");
    is_a_page(&page(&server, "GET", "//clusters"));
    server.raw("POST", "//api/v1/folders").json(&json!({ "name": "some folder" })).send().ok();
    // Other slashes are kept.
    server.raw("GET", "/api//v1/clusters").send().refused(404);
}

#[test]
fn security_headers_restrict_pages() {
    let server = simulated();
    for path in ["/", "/clusters", "/assets/nothing.js"] {
        let answer = page(&server, "GET", path);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        let parts: Vec<&str> = policy.split(';').map(str::trim).collect();
        for part in [
            "default-src 'self'",
            "script-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(parts.contains(&part), "{part} is missing: {policy}");
        }
        assert!(!policy.contains("unsafe-eval") && !policy.contains("http"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert!(answer.header("permissions-policy").is_some_and(|value| value.contains("camera=()")));
    }
}

#[test]
fn pages_are_revalidated_with_etags() {
    let server = simulated();
    let whole = page(&server, "GET", "/clusters");
    is_a_page(&whole);
    let head = page(&server, "HEAD", "/clusters");
    is_a_page(&head);
    assert!(head.bytes.is_empty());
    assert_eq!(head.header("content-length"), Some(whole.bytes.len().to_string().as_str()));
    let client = server.anonymous();
    let packed =
        client.raw("GET", "/clusters").header("accept", ACCEPT).header("accept-encoding", "gzip, br").send();
    is_a_page(&packed);
    // None of this holds if the ETag differs for every response.
    if let Some(etag) = whole.header("etag") {
        assert_eq!(whole.header("cache-control"), Some("no-cache"));
        let again =
            client.raw("GET", "/clusters").header("accept", ACCEPT).header("if-none-match", etag).send();
        assert_eq!((again.status, again.bytes.len()), (304, 0), "{again}");
        assert!(again.header("content-security-policy").is_some());
        let other = client
            .raw("GET", "/clusters")
            .header("accept", ACCEPT)
            .header("if-none-match", "\"other\"")
            .send();
        is_a_page(&other);
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert!(packed.bytes.starts_with(&[0x1f, 0x8b]) || packed.bytes == whole.bytes);
        assert_eq!(packed.header("vary"), Some("accept-encoding"));
    } else {
        assert_eq!(whole.header("cache-control"), Some("no-store"));
        assert_ne!(whole.header("content-security-policy"), packed.header("content-security-policy"));
    }
}

#[test]
fn a_disabled_console_leaves_only_the_api() {
    let server = ServerBuilder::new(PROGRAM).env("OOTHECA_CONSOLE__ENABLED", "false").boot();
    page(&server, "GET", "/").refused(404);
    page(&server, "GET", "/clusters").refused(404);
    assert!(!server.log().contains("/link#"), "no sign-in link without a console");
}

/// The token of the link that the last start has printed.
#[track_caller]
fn printed(server: &Ootheca) -> String {
    let log = server.log();
    let link = log.lines().rev().find_map(|line| line.trim().split_once("/link#"));
    let (base, token) = link.unwrap_or_else(|| panic!("no link: {log}"));
    assert_eq!(base, server.base());
    token.to_owned()
}

#[test]
fn the_printed_link_signs_in_once() {
    let mut server = simulated();
    let before = audit_log(&server).len();
    let token = printed(&server);
    Browser::new(&server).sign_in(json!({ "link_token": "x".repeat(token.len()) })).refused(401);
    let mut owner = Browser::new(&server);
    let short = owner.sign_in(json!({ "link_token": token, "password": "short" }));
    short.refused(400);
    let answer = owner.sign_in(json!({ "link_token": token }));
    let whoami = answer.ok();
    assert_eq!(whoami["user"]["email"], "admin@localhost");
    assert_eq!(whoami["user"]["has_password"], false);
    assert_eq!(whoami["address"], "127.0.0.1");
    assert_eq!(whoami["organization"]["label"], "ootheca");
    assert!(whoami["roles"].to_string().contains("CLUSTER_ADMIN"), "{whoami}");
    owner.api("GET", "/api/v1/clusters", None).ok();
    assert_eq!(owner.api("GET", SESSION, None).ok()["address"], "127.0.0.1");
    Browser::new(&server).sign_in(json!({ "link_token": token })).refused(401);
    let actions: Vec<String> = audit_log(&server)[before..]
        .iter()
        .map(|entry| entry["action"].as_str().unwrap_or_default().replace("AUDIT_LOG_ACTION_", ""))
        .collect();
    assert_eq!(actions, ["CREATE_USER", "ACCEPT_USER_INVITE", "ACCEPT_USER_INVITE"]);
    assert!(
        !json!(audit_log(&server)).to_string().contains(&token),
        "the token is neither stored nor logged"
    );

    // Each start prints a new link for the same person.
    owner.api("PUT", "/api/ootheca/v1/session/password", Some(json!({ "new_password": PASSWORD }))).ok();
    server.restart();
    let second = printed(&server);
    assert_ne!(second, token);
    let again = Browser::new(&server).sign_in(json!({ "link_token": second }));
    assert_eq!(again.ok()["user"]["id"], whoami["user"]["id"]);
    assert_eq!(again.ok()["user"]["has_password"], true, "the link is unchanged");
}

#[test]
fn the_link_is_for_the_existing_administrator() {
    let server = simulated();
    person(&server, "dev@example.com", &["CLUSTER_DEVELOPER"]);
    person(&server, "ada@example.com", &["ORG_ADMIN"]);
    let answer = Browser::new(&server).sign_in(json!({ "link_token": printed(&server) }));
    assert_eq!(answer.ok()["user"]["email"], "ada@example.com");
    let link = server.run(&["admin", "link"]);
    let text = String::from_utf8_lossy(&link.stdout).into_owned();
    let (base, token) = text.trim().split_once("/link#").expect("a link");
    assert_eq!(base, server.base());
    let mut browser = Browser::new(&server);
    assert_eq!(browser.sign_in(json!({ "link_token": token })).ok()["user"]["email"], "ada@example.com");
    browser.sign_in(json!({ "link_token": token })).refused(401);
}
