//! The pages of the console, on every path outside of the API, for clients that accept HTML. Other clients get
//! the 404 of the API, so that a mistyped base URL does not look like success.
//!
//! They are static files and need no authentication: their data comes from the API, which authenticates. The
//! headers restrict what a page can load: only resources of this server, no inline scripts, and no frames of
//! other sites.

use crate::{context::Context, ids::fresh_id};
use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    response::Response,
};
use ootheca_console as console;

/// The headers of every response, in addition to the content security policy.
const HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Whether a request that no other route handles is for a page or a file.
pub fn takes(context: &Context, request: &Request) -> bool {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let wanted = !console::is_page(path) || accepts_html(request.headers());
    context.settings.console.enabled && reads && wanted && !belongs_to_the_api(path)
}

/// Browsers ask for pages with `text/html`. Clients of the API do not, or accept anything.
fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        range.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
    })
}

/// Unknown paths of the API return errors of the API, also if the first segment is missing. Known paths outside
/// of it have routes, but their other spellings do not.
fn belongs_to_the_api(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    match parts.next() {
        Some("api" | "v1" | "scim" | "healthz" | "readyz" | "metrics") => true,
        Some("clusters") => parts.nth(1) == Some("cert") && parts.next().is_none(),
        _ => false,
    }
}

/// Returns the page or file.
pub fn answer(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (accept, known) = (text(header::ACCEPT_ENCODING), text(header::IF_NONE_MATCH));
    let mut found = console::find(uri.path(), accept, known);
    let nonce = found.nonce.then(|| fresh_id().simple().to_string());
    if let Some(nonce) = &nonce {
        let page = String::from_utf8_lossy(&found.body).replace(console::NONCE, nonce);
        found.body = page.into_bytes().into();
    }
    let length = found.body.len();
    let body = match found.body {
        _ if *method == Method::HEAD => Bytes::new(),
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => bytes.into(),
    };
    let mut response = Response::builder().status(found.status);
    for (name, value) in found.headers.iter().chain(&HEADERS) {
        response = response.header(*name, *value);
    }
    if found.status != 304 {
        response = response.header(header::CONTENT_LENGTH, length);
    }
    if let Ok(policy) = HeaderValue::from_str(&policy(nonce.as_deref())) {
        response = response.header(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.body(Body::from(body)).unwrap_or_default()
}

/// Inline styles need the nonce of the page. If it has none, they are allowed.
fn policy(nonce: Option<&str>) -> String {
    let styles = match nonce {
        Some(nonce) => format!("style-src 'self' 'nonce-{nonce}'; style-src-attr 'unsafe-inline'"),
        None => "style-src 'self' 'unsafe-inline'".to_owned(),
    };
    format!(
        "default-src 'self'; script-src 'self'; {styles}; img-src 'self' data:; connect-src 'self'; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_paths_are_not_taken() {
        let ours = [
            "/api",
            "/api/",
            "/api/v1/nothing",
            "/metrics/",
            "/healthz/x",
            "/clusters/1/cert",
            "/v1/clusters",
            "/scim/v2/Users",
        ];
        for path in ours {
            assert!(belongs_to_the_api(path), "{path}");
        }
        let pages =
            ["/", "/apis", "/clusters", "/clusters/1", "/clusters/1/overview", "/clusters/1/cert/x", ""];
        for path in pages {
            assert!(!belongs_to_the_api(path), "{path}");
        }
    }

    #[test]
    fn only_text_html_asks_for_a_page() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, Text/HTML;q=0.1", true),
            ("*/*", false),
            ("application/json, text/plain", false),
            ("text/html5", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_html(&headers), expected, "{accept}");
        }
        assert!(!accepts_html(&HeaderMap::new()));
    }

    #[test]
    fn no_policy_allows_inline_scripts() {
        for policy in [policy(None), policy(Some("abc"))] {
            let scripts = policy.split(';').map(str::trim).find(|part| part.starts_with("script-src"));
            assert_eq!(scripts, Some("script-src 'self'"));
        }
        assert!(policy(Some("abc")).contains("style-src 'self' 'nonce-abc';"));
    }

    #[test]
    fn head_has_the_headers_of_get() {
        let (uri, headers) = (Uri::from_static("/clusters"), HeaderMap::new());
        let [get, head] = [Method::GET, Method::HEAD].map(|method| answer(&method, &uri, &headers));
        assert_eq!(get.status(), 200);
        for (name, value) in get.headers() {
            if name != header::CONTENT_SECURITY_POLICY {
                assert_eq!(head.headers().get(name), Some(value), "{name}");
            }
        }
        assert!(head.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    }
}
