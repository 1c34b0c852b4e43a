//! The client of a request, as far as its HTTP headers and its address describe it.

use crate::identity::authenticate::{Credentials, header_text};
use axum::http::{HeaderMap, HeaderName, Method, header};
use std::{borrow::Cow, net::IpAddr};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of a request.
pub struct Client {
    /// Its address.
    pub peer: IpAddr,
    method: Method,
    headers: HeaderMap,
}

impl Client {
    /// The client of an HTTP request.
    pub fn of(peer: IpAddr, method: Method, headers: HeaderMap) -> Self {
        Self { peer, method, headers }
    }

    /// Its credentials.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials::of(&self.method, &self.headers)
    }

    /// The value of a header.
    pub fn header(&self, name: HeaderName) -> Option<Cow<'_, str>> {
        header_text(&self.headers, name)
    }

    /// `User-Agent`.
    pub fn user_agent(&self) -> Option<Cow<'_, str>> {
        self.header(header::USER_AGENT)
    }

    /// `Last-Event-ID`: the last event that it received.
    pub fn last_event_id(&self) -> Option<Cow<'_, str>> {
        self.header(LAST_EVENT_ID)
    }

    /// Whether it uses TLS, to this server or to a proxy in front of it.
    pub fn secure(&self) -> bool {
        let https = |name| self.headers.get(name).is_some_and(|value| value.as_bytes().starts_with(b"https"));
        https(header::ORIGIN) || https(X_FORWARDED_PROTO)
    }

    /// Whether the request comes from a page of another site, according to `Origin`.
    pub fn cross_site(&self) -> bool {
        self.headers.contains_key(header::ORIGIN) && !self.credentials().same_origin()
    }
}
