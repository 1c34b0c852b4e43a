//! An HTTP client for the public API. Errors carry the message, the trace ID, and a hint. It doesn't follow
//! redirects, so that the API key is never sent to another server.

use crate::failure::{Exit, Failure, Result};
use ootheca_api::{page, versions::Version};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    sync::Arc,
    time::Duration,
};
use ureq::{
    Agent, Body,
    http::{self, Response},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// The version of the API that requests ask for.
const VERSION: &str = Version::LATEST.header();
/// Timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for the response. A request can wait for a cluster to start.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(180);
/// Characters that are not encoded in a path segment.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client for one server, with an API key.
pub(crate) struct Client {
    server: String,
    key: Option<String>,
    agent: Agent,
}

/// A successful response.
pub(crate) struct ApiResponse {
    /// The body as text.
    pub(crate) text: String,
    /// The body as JSON; `null` if it isn't JSON.
    pub(crate) value: Value,
}

/// A list, assembled from all its pages.
pub(crate) struct List {
    /// The items.
    pub(crate) rows: Vec<Value>,
    /// The last page, with the items of all pages.
    pub(crate) response: Value,
}

/// Encodes text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    match text {
        // Some clients and proxies resolve these.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, UNRESERVED).to_string(),
    }
}

impl Client {
    /// A client for the server at `http://…` or `https://…`, whose certificate is issued by one of the
    /// authorities in `ca_file`, or by one that this machine trusts.
    pub(crate) fn new(server: &str, key: Option<String>, ca_file: Option<&Path>) -> Result<Self> {
        let roots = ca_file.map_or(Ok(RootCerts::PlatformVerifier), authorities)?;
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(roots)
            .build();
        let mut config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .user_agent(concat!("ootheca/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT));
        // Over plain HTTP, a proxy could read the key.
        if server.starts_with("http://") {
            config = config.proxy(None);
        }
        Ok(Self { server: server.to_owned(), key, agent: config.build().new_agent() })
    }

    /// The address of the server, such as `http://127.0.0.1:8080`.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The ID of the API key, which is the prefix of the secret.
    pub(crate) fn key_id(&self) -> Option<&str> {
        let key = self.key.as_deref()?;
        let (id, _) = key.rsplit_once('_')?;
        id.contains('_').then_some(id)
    }

    /// Sends `GET` to a path such as `/api/v1/clusters`.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send("GET", path, &[], None, &[])?.value)
    }

    /// Sends `POST` with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send("POST", path, &[], Some(body), &[])?.value)
    }

    /// Sends `PATCH` with a JSON body.
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send("PATCH", path, &[], Some(body), &[])?.value)
    }

    /// Sends `PUT` with a JSON body.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send("PUT", path, &[], Some(body), &[])?.value)
    }

    /// Sends `DELETE`.
    pub(crate) fn delete(&self, path: &str) -> Result<Value> {
        Ok(self.send("DELETE", path, &[], None, &[])?.value)
    }

    /// Fetches the items of all pages of a list. `field` is the member that contains them.
    pub(crate) fn pages(&self, path: &str, field: &str) -> Result<Vec<Value>> {
        Ok(self.list(path, field)?.rows)
    }

    /// Fetches all pages of a list.
    pub(crate) fn list(&self, path: &str, field: &str) -> Result<List> {
        self.list_first(path, &[], field, None)
    }

    /// Fetches the first `limit` items of a list, with this query. If there are more, `pagination.next_page` in the
    /// response is not empty.
    pub(crate) fn list_first(
        &self,
        path: &str,
        query: &[(String, String)],
        field: &str,
        limit: Option<usize>,
    ) -> Result<List> {
        let (mut rows, mut token) = (Vec::new(), String::new());
        loop {
            let mut query = query.to_vec();
            let left = limit.map(|limit| limit.saturating_sub(rows.len()));
            query.extend(left.map(|left| ("pagination.limit".to_owned(), left.min(page::LIMIT).to_string())));
            if !token.is_empty() {
                query.push(("pagination.page".to_owned(), token.clone()));
            }
            let mut response = self.send("GET", path, &query, None, &[])?.value;
            match response.get_mut(field).map(Value::take) {
                Some(Value::Array(items)) => rows.extend(items),
                _ => {
                    return Err(Failure::failed(format!(
                        "invalid response from {path}: there is no list {field}"
                    )));
                }
            }
            let next = response.pointer("/pagination/next_page").and_then(Value::as_str).unwrap_or_default();
            let enough = limit.is_some_and(|limit| rows.len() >= limit);
            if enough || next.is_empty() || next == token {
                response[field] = rows.clone().into();
                return Ok(List { rows, response });
            }
            token = next.to_owned();
        }
    }

    /// Sends a request. `path` can already contain a query.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<ApiResponse> {
        let mut response = self.request(method, path, query, body, headers)?;
        let read = response.body_mut().with_config().limit(u64::MAX).read_to_string();
        let text = read.map_err(|error| self.unreachable(&error))?;
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(ApiResponse { text, value });
        }
        Err(error_response(&response, status, &value, &self.server))
    }

    /// Opens a stream of server-sent events.
    pub(crate) fn stream(
        &self,
        path: &str,
        query: &[(String, String)],
        headers: &[(&str, &str)],
    ) -> Result<impl BufRead + use<>> {
        let accept = [("accept", "text/event-stream")];
        let headers: Vec<_> = accept.into_iter().chain(headers.iter().copied()).collect();
        let mut response = self.request("GET", path, query, None, &headers)?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(BufReader::new(response.into_body().into_reader()));
        }
        let text = response.body_mut().read_to_string().unwrap_or_default();
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        Err(error_response(&response, status, &value, &self.server))
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Response<Body>> {
        let mut url = format!("{}{path}", self.server);
        if !query.is_empty() {
            url.push(if path.contains('?') { '&' } else { '?' });
            url.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish());
        }
        let mut request = http::Request::builder().method(method).uri(&url);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("cc-version")) {
            request = request.header("cc-version", VERSION);
        }
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let wrong = |error: http::Error| Failure::usage(format!("{method} {url}: {error}"));
        let response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).map_err(wrong)?)
            }
            None if matches!(method, "POST" | "PUT" | "PATCH") => {
                self.agent.run(request.body(String::new()).map_err(wrong)?)
            }
            None => self.agent.run(request.body(()).map_err(wrong)?),
        };
        response.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let message = format!("could not connect to {}: {error}", self.server);
        let hint = match is_untrusted(error) {
            true => {
                "if the server uses a certificate authority of its own, name its certificate with --ca-file"
            }
            false => {
                "check that the server is running and that the address is correct; `ootheca profiles` lists stored addresses"
            }
        };
        Failure::new(Exit::Unreachable, message).hint(hint)
    }
}

/// Whether the certificate of the server is not accepted.
fn is_untrusted(error: &ureq::Error) -> bool {
    let inner = match error {
        ureq::Error::Rustls(inner) => Some(inner),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// The certificate authorities in a PEM file.
fn authorities(file: &Path) -> Result<RootCerts> {
    let failed = |cause: &dyn std::fmt::Display| {
        Failure::usage(format!("could not read the CA file {}: {cause}", file.display()))
    };
    let text = std::fs::read(file).map_err(|cause| failed(&cause))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|cause| failed(&cause))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(failed(&"it contains no certificate in PEM form"));
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// The error that a response describes.
fn error_response(response: &Response<Body>, status: u16, body: &Value, server: &str) -> Failure {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let message = body.get("message").and_then(Value::as_str);
    let exit = match status {
        401 | 403 => Exit::Denied,
        404 => Exit::NotFound,
        _ => Exit::Failed,
    };
    let text = match message {
        Some(message) => message.to_owned(),
        None if (300..400).contains(&status) => {
            format!("{server} responded with a redirect (status {status})")
        }
        None => format!("{server} responded with status {status}"),
    };
    let hint = match status {
        300..=399 => Some("redirects are not followed; use --server with the final address".to_owned()),
        401 => {
            Some("the server doesn't accept the API key; store another one with `ootheca login`".to_owned())
        }
        403 => Some("`ootheca whoami` shows the roles of the API key".to_owned()),
        404 if message.is_none() => Some(format!("check that {server} is an Ootheca server")),
        429 => header("retry-after").map(|seconds| format!("try again in {seconds} seconds")),
        503 => Some("try again later".to_owned()),
        _ => None,
    };
    let trace_id = header("cc-trace-id").map(str::to_owned);
    Failure { message: text, trace_id, hint, exit, transient: matches!(status, 429 | 503) }
}

#[cfg(test)]
mod tests {
    use super::segment;
    use proptest::prelude::*;

    #[test]
    fn dot_segments_are_encoded() {
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("a/b c?"), "a%2Fb%20c%3F");
        assert_eq!(segment("blue-dog_1.2"), "blue-dog_1.2");
    }

    proptest! {
        #[test]
        fn an_encoded_segment_stays_one_segment_and_decodes_to_the_same_text(text in any::<String>()) {
            let segment = segment(&text);
            prop_assert!(!segment.contains(['/', '?', '#']) && segment != "." && segment != "..");
            let back = percent_encoding::percent_decode_str(&segment).decode_utf8().unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
