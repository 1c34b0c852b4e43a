//! The client of a request, as far as its HTTP headers and its address describe it.

use crate::identity::authenticate::Credentials;
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
        let text = |name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let credentials = Credentials::of(method, headers);
        let origin = text("origin");
        let https = |text: Option<&str>| text.is_some_and(|text| text.starts_with("https"));
        Self {
            peer,
            user_agent: text("user-agent"),
            last_event_id: text("last-event-id"),
            secure: https(origin.as_deref()) || https(text("x-forwarded-proto").as_deref()),
            cross_site: origin.is_some() && !credentials.same_origin,
            credentials,
        }
    }
}
