//! A client of the Cloud API. Requests define exactly what is sent, and answers contain exactly what was
//! received.

use serde_json::Value;
use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use ureq::{
    Agent, http,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// A response.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    /// The body as JSON; `Null` if it is empty or not JSON.
    pub body: Value,
    /// The time from the request until the response was complete.
    pub time: Duration,
    /// The request, for messages.
    request: String,
}

impl Answer {
    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the JSON body of a 200 response. Panics for any other response.
    #[track_caller]
    pub fn ok(&self) -> &Value {
        self.expect(200)
    }

    /// Returns the JSON body of a response with this status. Panics for any other response.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{self}");
        &self.body
    }

    /// Returns the message of an error response with this status. Checks the complete shape of the error.
    #[track_caller]
    pub fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self}");
        let body = self.body.as_object();
        let keys: Vec<&str> = body.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        if self.request.contains(" /api/scim/v2/") {
            return self.refused_by_scim(status, &keys);
        }
        assert_eq!(keys, ["code", "details", "message"], "{self}");
        assert!(self.body["code"].is_i64() && self.body["details"] == Value::Array(Vec::new()), "{self}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self}");
        let message = self.body["message"].as_str();
        message.filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("no message: {self}"))
    }

    /// Like `refused`, for errors of SCIM.
    #[track_caller]
    fn refused_by_scim(&self, status: u16, keys: &[&str]) -> &str {
        let known = ["detail", "schemas", "scimType", "status"];
        assert!(keys.len() >= 3 && keys.iter().all(|key| known.contains(key)), "{self}");
        assert_eq!(self.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error", "{self}");
        assert_eq!(self.body["status"], status.to_string(), "{self}");
        assert_eq!(self.header("content-type"), Some("application/scim+json"), "{self}");
        let detail = self.body["detail"].as_str();
        detail.filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("no detail: {self}"))
    }

    /// Returns a string member of the body.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no string at {pointer}: {self}")).to_owned()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.request, self.status, String::from_utf8_lossy(&self.bytes))
    }
}

/// The reason why there was no response.
pub type Lost = ureq::Error;

/// A client with an address, a key, and an API version.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
    version: Option<String>,
    record: Option<Record>,
    around: Option<Around>,
}

/// The recorded responses of a client and its clones, in order.
pub type Record = Arc<Mutex<Vec<Recorded>>>;

/// A request and its response.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// The path and query.
    pub path: String,
    pub status: u16,
    /// The body of the response.
    pub answer: Vec<u8>,
}

/// Sends a request instead of [`Request::send`].
type Around = Arc<dyn Fn(Request<'_>) -> Answer + Send + Sync>;

impl Client {
    /// Creates a client of the server at `base` with a key, for the API version of the official clients.
    pub fn new(base: &str, key: &str) -> Self {
        Self::with_roots(base, key, RootCerts::new_with_certs(&[]))
    }

    /// Returns a client of an `https://` server that trusts the certificate in a PEM file.
    #[must_use]
    pub fn trusting(&self, file: &Path) -> Self {
        let pem = fs::read(file).unwrap_or_default();
        let roots: Vec<_> = Certificate::from_pem(&pem).into_iter().collect();
        let key = self.key.as_deref().unwrap_or_default();
        Self::with_roots(&self.base, key, RootCerts::new_with_certs(&roots))
    }

    fn with_roots(base: &str, key: &str, roots: RootCerts) -> Self {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(roots)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_idle_connections(0)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)));
        Self {
            agent: config.build().new_agent(),
            base: base.to_owned(),
            key: Some(key.to_owned()),
            version: Some(crate::LATEST.to_owned()),
            record: None,
            around: None,
        }
    }

    /// The URL of the server, for example `http://127.0.0.1:8080`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The host and port of the server.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://").trim_start_matches("https://")
    }

    /// Returns a client with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// Returns a client without a key.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// Returns a client with another `Cc-Version`.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        Self { version: Some(version.to_owned()), ..self.clone() }
    }

    /// Returns a client that records its responses.
    #[must_use]
    pub fn recorded(&self, record: &Record) -> Self {
        Self { record: Some(record.clone()), ..self.clone() }
    }

    /// Returns a client that passes every request except `GET` to `around`, which can send it any number of
    /// times and in modified form.
    #[must_use]
    pub fn around(&self, around: impl Fn(Request<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self { around: Some(Arc::new(around)), ..self.clone() }
    }

    /// Returns a client that sends requests as they are, without [`Client::around`].
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { around: None, ..self.clone() }
    }

    /// Returns a client that sends no `Cc-Version`, like the examples in the API documentation.
    #[must_use]
    pub fn unversioned(&self) -> Self {
        Self { version: None, ..self.clone() }
    }

    /// Creates a request for a path below `/api/v1`.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        self.raw(method, &format!("/api/v1{path}"))
    }

    /// Creates a request for any path.
    pub fn raw(&self, method: &str, path: &str) -> Request<'_> {
        let mut headers = Vec::new();
        if let Some(key) = &self.key {
            headers.push(("authorization".to_owned(), format!("Bearer {key}")));
        }
        if let Some(version) = &self.version {
            headers.push(("cc-version".to_owned(), version.clone()));
        }
        let around = self.around.clone().filter(|_| method != "GET");
        let (method, path) = (method.to_owned(), path.to_owned());
        Request { client: self, method, path, headers, body: None, around }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }

    /// Sends `POST` with JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path).json(&body).send()
    }

    /// Sends `PUT` with JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", path).json(&body).send()
    }

    /// Sends `PATCH` with JSON.
    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.request("PATCH", path).json(&body).send()
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send()
    }
}

/// A request that is being built.
#[derive(Clone)]
pub struct Request<'a> {
    client: &'a Client,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    around: Option<Around>,
}

impl Request<'_> {
    pub fn client(&self) -> &Client {
        self.client
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, pair: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(pair);
        self
    }

    /// Sets a header, and replaces an existing one with the same name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body without a content type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets the body like `curl --data`.
    #[must_use]
    pub fn data(self, body: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sets the body and its content type like the official clients.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends the request. Panics if there is no response.
    #[track_caller]
    pub fn send(mut self) -> Answer {
        if let Some(around) = self.around.take() {
            return around(self);
        }
        let what = format!("{} {}", self.method, self.path);
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends the request. Returns an error if there is no response, for example because the server was
    /// killed.
    pub fn try_send(self) -> Result<Answer, Lost> {
        let mut request = http::Request::builder().method(self.method.as_str());
        request = request.uri(format!("{}{}", self.client.base, self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let wants_body = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        let start = Instant::now();
        let mut response = match self.body {
            Some(body) => self.client.agent.run(request.body(body)?)?,
            None if wants_body => self.client.agent.run(request.body(Vec::new())?)?,
            None => self.client.agent.run(request.body(())?)?,
        };
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let bytes = response.body_mut().read_to_vec()?;
        let time = start.elapsed();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let request = format!("{} {}", self.method, self.path);
        let status = response.status().as_u16();
        if let Some(record) = &self.client.record {
            let entry = Recorded { method: self.method, path: self.path, status, answer: bytes.clone() };
            record.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        Ok(Answer { status, headers, bytes, body, time, request })
    }
}
