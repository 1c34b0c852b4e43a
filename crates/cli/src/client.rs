//! One request: method, path, body → JSON, or an error with message, trace id and hint. The public API
//! and nothing else; redirects are not followed, so that a key goes to no other server.

use crate::failure::{Exit, Failure, Result};
use ootheca_api::versions::Version;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    sync::Arc,
    time::Duration,
};
use ureq::{
    Agent, Body,
    http::{self, Response},
    tls::{RootCerts, TlsConfig},
};

/// The version of the API: what the answers look like.
const VERSION: &str = Version::LATEST.header();
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take: a cluster may be started for it.
const ANSWER: Duration = Duration::from_secs(180);
/// What a path segment keeps as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A server and a key for it.
pub(crate) struct Client {
    server: String,
    key: Option<String>,
    agent: Agent,
}

/// An answer that was no error.
pub(crate) struct Answer {
    /// The body as it came.
    pub(crate) text: String,
    /// The body as JSON; `null` where it is none.
    pub(crate) value: Value,
}

/// A whole list, read page by page.
pub(crate) struct List {
    /// Its items.
    pub(crate) rows: Vec<Value>,
    /// What the API answered: the last page, holding the items of all.
    pub(crate) answer: Value,
}

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    match text {
        // Some clients and proxies would resolve them.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, UNRESERVED).to_string(),
    }
}

impl Client {
    /// A client of the server at `http://…` or `https://…`.
    pub(crate) fn new(server: &str, key: Option<String>) -> Self {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let mut config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .user_agent(concat!("ootheca/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER));
        // A proxy would see the key.
        if server.starts_with("http://") {
            config = config.proxy(None);
        }
        Self { server: server.to_owned(), key, agent: config.build().new_agent() }
    }

    /// Where the server is: `http://127.0.0.1:8080`.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The id of the API key, which its secret begins with.
    pub(crate) fn key_id(&self) -> Option<&str> {
        let key = self.key.as_deref()?;
        let (id, _) = key.rsplit_once('_')?;
        id.contains('_').then_some(id)
    }

    /// `GET` of a whole path, such as `/api/v1/clusters`.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send("GET", path, &[], None, &[])?.value)
    }

    /// `POST`
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send("POST", path, &[], Some(body), &[])?.value)
    }

    /// `PATCH`
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send("PATCH", path, &[], Some(body), &[])?.value)
    }

    /// `PUT`
    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send("PUT", path, &[], Some(body), &[])?.value)
    }

    /// `DELETE`
    pub(crate) fn delete(&self, path: &str) -> Result<Value> {
        Ok(self.send("DELETE", path, &[], None, &[])?.value)
    }

    /// The items of a whole list: `field` is the member that holds them.
    pub(crate) fn pages(&self, path: &str, field: &str) -> Result<Vec<Value>> {
        Ok(self.list(path, field)?.rows)
    }

    /// The same, with what the API answered.
    pub(crate) fn list(&self, path: &str, field: &str) -> Result<List> {
        let (mut rows, mut token) = (Vec::new(), String::new());
        loop {
            let query: Vec<(String, String)> = match token.as_str() {
                "" => Vec::new(),
                token => vec![("pagination.page".to_owned(), token.to_owned())],
            };
            let mut answer = self.send("GET", path, &query, None, &[])?.value;
            match answer.get_mut(field).map(Value::take) {
                Some(Value::Array(items)) => rows.extend(items),
                _ => return Err(Failure::failed(format!("{path}: the answer holds no list {field}"))),
            }
            let next = answer.pointer("/pagination/next_page").and_then(Value::as_str).unwrap_or_default();
            if next.is_empty() || next == token {
                answer[field] = rows.clone().into();
                return Ok(List { rows, answer });
            }
            token = next.to_owned();
        }
    }

    /// Any request; `path` may hold a query already.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let mut response = self.ask(method, path, query, body, headers)?;
        let read = response.body_mut().with_config().limit(u64::MAX).read_to_string();
        let text = read.map_err(|error| self.unreachable(&error))?;
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(Answer { text, value });
        }
        Err(refusal(&response, status, &value, &self.server))
    }

    /// `GET` of an answer that goes on, such as the events.
    pub(crate) fn stream(&self, path: &str) -> Result<impl BufRead> {
        let mut response = self.ask("GET", path, &[], None, &[("accept", "text/event-stream")])?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(BufReader::new(response.into_body().into_reader()));
        }
        let text = response.body_mut().read_to_string().unwrap_or_default();
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        Err(refusal(&response, status, &value, &self.server))
    }

    fn ask(
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
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).map_err(wrong)?)
            }
            None if matches!(method, "POST" | "PUT" | "PATCH") => {
                self.agent.run(request.body(String::new()).map_err(wrong)?)
            }
            None => self.agent.run(request.body(()).map_err(wrong)?),
        };
        answer.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let message = format!("{} can't be reached: {error}", self.server);
        Failure::new(Exit::Unreachable, message)
            .hint("is the server running, and its address right? `ootheca profiles` shows those you know")
    }
}

/// What an answer that is an error says.
fn refusal(response: &Response<Body>, status: u16, body: &Value, server: &str) -> Failure {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let said = body.get("message").and_then(Value::as_str);
    let exit = match status {
        401 | 403 => Exit::Denied,
        404 => Exit::NotFound,
        _ => Exit::Failed,
    };
    let message = match said {
        Some(said) => said.to_owned(),
        None if (300..400).contains(&status) => format!("{server} answers {status} and points elsewhere"),
        None => format!("{server} answers {status}"),
    };
    let hint = match status {
        300..=399 => Some("name the server that it points to with --server".to_owned()),
        401 => Some("the key is not known there; `ootheca login` stores another one".to_owned()),
        403 => Some("`ootheca whoami` shows who you are there".to_owned()),
        404 if said.is_none() => Some(format!("is {server} an Ootheca server?")),
        429 => header("retry-after").map(|seconds| format!("try again in {seconds} s")),
        503 => Some("try again soon".to_owned()),
        _ => None,
    };
    let trace_id = header("cc-trace-id").map(str::to_owned);
    Failure { message, trace_id, hint, exit }
}

#[cfg(test)]
mod tests {
    use super::segment;
    use proptest::prelude::*;

    #[test]
    fn dots_are_no_folders() {
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("a/b c?"), "a%2Fb%20c%3F");
        assert_eq!(segment("blue-dog_1.2"), "blue-dog_1.2");
    }

    proptest! {
        #[test]
        fn a_segment_is_read_back_and_never_leaves_its_place(text in any::<String>()) {
            let segment = segment(&text);
            prop_assert!(!segment.contains(['/', '?', '#']) && segment != "." && segment != "..");
            let back = percent_encoding::percent_decode_str(&segment).decode_utf8().unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
