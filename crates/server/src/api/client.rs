//! The client of a request, as far as its HTTP headers and its address describe it.

use crate::identity::authenticate::{Credentials, header_text};
use axum::http::{HeaderMap, HeaderName, Method, header};
use std::{borrow::Cow, net::IpAddr};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The client of a request.
pub struct Client {
    /// Its address.
    pub peer: IpAddr,
    /// Whether a trusted proxy received the request over TLS.
    tls: bool,
    method: Method,
    headers: HeaderMap,
}

impl Client {
    /// The client of an HTTP request. `tls` is whether a trusted proxy received it over TLS.
    pub fn of(peer: IpAddr, tls: bool, method: Method, headers: HeaderMap) -> Self {
        Self { peer, tls, method, headers }
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

    /// Whether it uses TLS, to a proxy in front of this server.
    pub fn secure(&self) -> bool {
        let origin = self.headers.get(header::ORIGIN);
        self.tls || origin.is_some_and(|value| value.as_bytes().starts_with(b"https"))
    }

    /// Whether the request comes from a page of another site, according to `Origin`.
    pub fn cross_site(&self) -> bool {
        self.headers.contains_key(header::ORIGIN) && !self.credentials().same_origin()
    }
}
