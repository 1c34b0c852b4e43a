//! The Cloud API as a client sees it: requests that say exactly what is sent, answers that say
//! exactly what came.

use serde_json::Value;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use ureq::{Agent, http};

/// What came back.
#[derive(Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub bytes: Vec<u8>,
    /// The body as JSON; `Null` if it is empty or something else.
    pub body: Value,
    /// Time from the request until all of the answer was there.
    pub time: Duration,
    /// What was asked, for messages.
    request: String,
}

impl Answer {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The JSON body of a 200; panics on anything else.
    #[track_caller]
    pub fn ok(&self) -> &Value {
        self.expect(200)
    }

    /// The JSON body of an answer with this status; panics on any other.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{self}");
        &self.body
    }

    /// The message of an error with this status, whose whole shape is checked.
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

    /// The same in SCIM's shape.
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

    /// A string member of the body.
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

/// Why there was no answer.
pub type Lost = ureq::Error;

/// A caller: where, with which key, in which version.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
    version: Option<String>,
    record: Option<Record>,
    around: Option<Around>,
}

/// What a client and its copies were answered, in order.
pub type Record = Arc<Mutex<Vec<Recorded>>>;

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// HTTP status.
    pub status: u16,
    /// Body of the answer.
    pub answer: Vec<u8>,
}

/// Sends a request in place of [`Request::send`].
type Around = Arc<dyn Fn(Request<'_>) -> Answer + Send + Sync>;

impl Client {
    /// A caller of the server at `base`, with a key, in the version of the official clients.
    pub fn new(base: &str, key: &str) -> Self {
        let config = Agent::config_builder()
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

    /// Where the server is, for example `http://127.0.0.1:8080`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Host and port of the server.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// The same with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same without a key.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// The same with another `Cc-Version`.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        Self { version: Some(version.to_owned()), ..self.clone() }
    }

    /// The same, writing down what it is answered.
    #[must_use]
    pub fn recorded(&self, record: &Record) -> Self {
        Self { record: Some(record.clone()), ..self.clone() }
    }

    /// The same, with `around` put around every request that is no `GET`: it is given the request and sends
    /// it as often and in such forms as it likes.
    #[must_use]
    pub fn around(&self, around: impl Fn(Request<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self { around: Some(Arc::new(around)), ..self.clone() }
    }

    /// The same without `Cc-Version`, as the examples of the page call.
    #[must_use]
    pub fn unversioned(&self) -> Self {
        Self { version: None, ..self.clone() }
    }

    /// A request of a path below `/api/v1`.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        self.raw(method, &format!("/api/v1{path}"))
    }

    /// A request of any path.
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

    /// `GET`
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }

    /// `POST` with JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path).json(&body).send()
    }

    /// `PUT` with JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", path).json(&body).send()
    }

    /// `PATCH` with JSON.
    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.request("PATCH", path).json(&body).send()
    }

    /// `DELETE`
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send()
    }
}

/// A request under construction.
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
    /// The caller.
    pub fn client(&self) -> &Client {
        self.client
    }

    /// Adds to the query.
    #[must_use]
    pub fn query(mut self, pair: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(pair);
        self
    }

    /// Sets a header, in place of an earlier one of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body, byte for byte, without a content type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets the body as `curl --data` does.
    #[must_use]
    pub fn data(self, body: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sets the body and its type as the official clients do.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// The answer; panics if there is none.
    #[track_caller]
    pub fn send(mut self) -> Answer {
        if let Some(around) = self.around.take() {
            return around(self);
        }
        let what = format!("{} {}", self.method, self.path);
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The answer, or why there is none: the server may die before it answers.
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
