//! The client of a request behind trusted proxies.
//!
//! Every client can send `X-Forwarded-For`, and a proxy appends the address that it received the request from. So
//! only the part of the list that trusted proxies have appended is true: it is read from the end, up to the first
//! address that is not a trusted proxy.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address of the client.
    pub address: IpAddr,
    /// Whether a trusted proxy received the request over TLS.
    pub tls: bool,
}

impl Origin {
    /// The origin of a request from `peer`.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
        let mut address = peer.to_canonical();
        if !is_trusted(address) {
            return Self { address, tls: false };
        }
        let tls = last(headers, FORWARDED_PROTO).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        for earlier in values(headers, FORWARDED_FOR).into_iter().rev() {
            let Some(earlier) = parse(earlier) else { break };
            address = earlier;
            if !is_trusted(address) {
                break;
            }
        }
        Self { address, tls }
    }
}

/// The values of a list that can be spread over several headers.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let headers = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    headers.flat_map(|value| value.split(',')).map(str::trim).collect()
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    values(headers, name).last().copied()
}

/// An address, with or without a port and brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(peer: &str, forwarded_for: &[&str], proto: &str) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            headers.append(FORWARDED_FOR, value.parse().expect("a value"));
        }
        headers.append(FORWARDED_PROTO, proto.parse().expect("a value"));
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().expect("a network"));
        let Origin { address, tls } = Origin::of(peer.parse().expect("an address"), &headers, &trusted);
        (address.to_string(), tls)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, list, expected) in [
            ("192.0.2.1", &["203.0.113.7"][..], ("192.0.2.1", false)),
            ("10.0.0.1", &["203.0.113.7"], ("203.0.113.7", true)),
            ("::ffff:10.0.0.1", &["203.0.113.7"], ("203.0.113.7", true)),
            ("2001:db8::1", &["::ffff:203.0.113.7"], ("203.0.113.7", true)),
            ("10.0.0.1", &["198.51.100.1, 203.0.113.7, 10.0.0.2"], ("203.0.113.7", true)),
            ("10.0.0.1", &["198.51.100.1", "203.0.113.7,10.0.0.2"], ("203.0.113.7", true)),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], ("10.0.0.3", true)),
            ("10.0.0.1", &["203.0.113.7:4711"], ("203.0.113.7", true)),
            ("10.0.0.1", &["[2001:db9::7]:4711"], ("2001:db9::7", true)),
            ("10.0.0.1", &["[2001:db9::7]"], ("2001:db9::7", true)),
            ("10.0.0.1", &["203.0.113.7, unknown, 10.0.0.2"], ("10.0.0.2", true)),
            ("10.0.0.1", &[], ("10.0.0.1", true)),
        ] {
            let (address, tls) = origin(peer, list, "https");
            assert_eq!((address.as_str(), tls), expected, "{peer} {list:?}");
        }
        assert!(!origin("10.0.0.1", &[], "http").1 && !origin("10.0.0.1", &[], "https, http").1);
        assert!(origin("10.0.0.1", &[], "http, HTTPS").1);
    }

    proptest! {
        #[test]
        fn what_a_client_sends_does_not_change_its_address(sent in "[ -~]{0,60}") {
            let list = format!("{sent}, 203.0.113.7, 10.0.0.2");
            prop_assert_eq!(origin("10.0.0.1", &[&list], "https").0, "203.0.113.7");
        }
    }
}
