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
    /// Whether it uses TLS, to a proxy in front of this server.
    pub secure: bool,
    /// Whether the request comes from a page of another site, according to `Origin`.
    pub cross_site: bool,
}

impl Client {
    /// The client of an HTTP request. `tls` is whether a trusted proxy received it over TLS.
    pub fn of(peer: IpAddr, tls: bool, method: &Method, headers: &HeaderMap) -> Self {
        let credentials = Credentials::of(method, headers);
        let https_page = headers.get("origin").is_some_and(|value| value.as_bytes().starts_with(b"https"));
        Self {
            peer,
            user_agent: header_text(headers, "user-agent"),
            last_event_id: header_text(headers, "last-event-id"),
            secure: tls || https_page,
            cross_site: headers.contains_key("origin") && !credentials.same_origin,
            credentials,
        }
    }
}
