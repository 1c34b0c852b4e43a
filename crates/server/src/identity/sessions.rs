//! Sessions of people: the token in the browser's cookie, and the row that is stored for it.
//!
//! The token is random, and only its SHA-256 is stored. Pages of other sites cannot use the cookie
//! (`SameSite=Strict`), and a request that can change something must come from this server's own pages
//! (`Origin`) or contain a second token that is derived from the first.

use crate::{
    documents::Stored,
    identity::{Identity, token},
};
use hmac::{Hmac, KeyInit, Mac};
use ootheca_model::{OrganizationId, PrincipalId, Result, Session, hex};
use ootheca_store::{Kind, Mutation};
use sha2::Sha256;
use std::{net::IpAddr, sync::Arc, time::Duration};
use subtle::ConstantTimeEq;

/// Name of the cookie.
const COOKIE: &str = "ootheca_session";
/// The maximum length of the stored `User-Agent`, in characters.
const LONGEST_AGENT: usize = 200;

/// The token that a change must contain in addition to the cookie.
pub fn csrf_token(token: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    hex::encode(&mac.chain_update("csrf").finalize().into_bytes())
}

/// Whether `sent` is that token. Compares in constant time.
pub fn csrf_matches(token: &str, sent: &str) -> bool {
    csrf_token(token).as_bytes().ct_eq(sent.as_bytes()).into()
}

/// The session token in the values of `Cookie` headers.
pub fn token_in_cookies<'a>(headers: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).find(|value| token::is_token(value))
}

/// Whether a request with this `Origin` comes from the pages of `host`.
pub fn same_origin(origin: Option<&str>, host: Option<&str>) -> bool {
    let authority = origin.and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

/// `Set-Cookie` for a new session.
pub fn cookie(token: &str, lasts: Duration, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", lasts.as_secs())
}

/// `Set-Cookie` that removes the cookie.
pub fn no_cookie(secure: bool) -> String {
    cookie("", Duration::ZERO, secure)
}

/// The session of a token, if it has not expired.
pub async fn find(identity: &Identity, token: &str) -> Result<Option<Arc<Stored<Session>>>> {
    let Some(session) = identity.context.find::<Session>(&token::id(token)).await? else { return Ok(None) };
    let now = identity.context.now();
    let idle = Duration::from_secs(identity.context.settings.sessions.idle_minutes * 60);
    let ended = session.value.expires_at <= now || now.since(last_used(identity, &session.value)) >= idle;
    Ok((!ended).then_some(session))
}

/// When a session was last used, whether that is stored yet or not.
pub fn last_used(identity: &Identity, session: &Session) -> ootheca_model::Timestamp {
    let pending = identity.last_use.pending(Kind::Session, &session.id);
    pending.map_or(session.last_used_at, |pending| pending.max(session.last_used_at))
}

/// Creates a session of a person: its token, and the row to store.
pub fn open(
    identity: &Identity,
    organization: OrganizationId,
    person: PrincipalId,
    peer: IpAddr,
    user_agent: &str,
) -> (String, Session) {
    let token = token::random();
    let now = identity.context.now();
    let session = Session {
        organization,
        id: token::id(&token),
        person,
        created_at: now,
        expires_at: now.after(lasts(identity)),
        last_used_at: now,
        ip_address: peer.to_string(),
        user_agent: user_agent.chars().filter(|c| !c.is_control()).take(LONGEST_AGENT).collect(),
    };
    (token, session)
}

/// The maximum lifetime of a session.
pub fn lasts(identity: &Identity) -> Duration {
    Duration::from_secs(identity.context.settings.sessions.longest_hours * 3600)
}

/// The change that ends every session of a person.
pub fn end_all(person: PrincipalId) -> Mutation {
    Mutation::DeleteChildren { kind: Kind::Session, parent: person.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let token = token::random();
        let ours = format!("a=b;  ootheca_session={token}; c=d");
        assert_eq!(token_in_cookies([ours.as_str()].into_iter()), Some(token.as_str()));
        assert_eq!(token_in_cookies(["x=y", ours.as_str()].into_iter()), Some(token.as_str()));
        for other in
            ["", "ootheca_session", "ootheca_session=", "ootheca_session=short", "x=ootheca_session=1"]
        {
            assert_eq!(token_in_cookies([other].into_iter()), None, "{other}");
        }
        let prefixed = format!("xootheca_session={token}");
        assert_eq!(token_in_cookies([prefixed.as_str()].into_iter()), None);
    }

    #[test]
    fn only_the_same_authority_is_the_same_origin() {
        assert!(same_origin(Some("https://cloud.example"), Some("cloud.example")));
        assert!(same_origin(Some("http://Cloud.example:8080"), Some("cloud.example:8080")));
        let strangers = [
            (Some("https://evil.example"), Some("cloud.example")),
            (Some("https://cloud.example.evil.example"), Some("cloud.example")),
            (Some("https://cloud.example:8443"), Some("cloud.example")),
            (Some("null"), Some("null")),
            (Some("cloud.example"), Some("cloud.example")),
            (None, Some("cloud.example")),
            (None, None),
        ];
        for (origin, host) in strangers {
            assert!(!same_origin(origin, host), "{origin:?} {host:?}");
        }
    }

    #[test]
    fn the_csrf_token_is_derived_from_the_session_token() {
        let (one, other) = (token::random(), token::random());
        assert!(csrf_matches(&one, &csrf_token(&one)));
        assert!(!csrf_matches(&one, &csrf_token(&other)));
        assert!(!csrf_matches(&one, &one) && !csrf_matches(&one, ""));
    }

    proptest! {
        #[test]
        fn no_cookie_header_panics(header in ".{0,200}") {
            let found = token_in_cookies([header.as_str()].into_iter());
            prop_assert!(found.is_none_or(token::is_token));
        }
    }
}
