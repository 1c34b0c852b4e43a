//! The client of a request, as far as its HTTP headers and its address describe it.

use crate::identity::authenticate::{Credentials, header_text};
use axum::http::{HeaderMap, Method};
use std::net::IpAddr;

/// The client of a request.
pub struct Client {
    /// Its address.
    pub peer: IpAddr,
    /// Its credentials.
    pub credentials: Credentials,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Last-Event-ID`: the last event that it received.
    pub last_event_id: Option<String>,
    /// Whether it uses TLS, to this server or to a proxy in front of it.
    pub secure: bool,
    /// Whether the request comes from a page of another site, according to `Origin`.
    pub cross_site: bool,
}

impl Client {
    /// The client of an HTTP request.
    pub fn of(peer: IpAddr, method: &Method, headers: &HeaderMap) -> Self {
        let credentials = Credentials::of(method, headers);
        let https = |name| headers.get(name).is_some_and(|value| value.as_bytes().starts_with(b"https"));
        Self {
            peer,
            user_agent: header_text(headers, "user-agent"),
            last_event_id: header_text(headers, "last-event-id"),
            secure: https("origin") || https("x-forwarded-proto"),
            cross_site: headers.contains_key("origin") && !credentials.same_origin,
            credentials,
        }
    }
}
