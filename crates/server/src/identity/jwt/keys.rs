//! The public keys of issuers, which are configured or downloaded and cached.

use crate::identity::jwt::fetch;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use ootheca_model::{JwtIssuer, Timestamp};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Keys that are older are downloaded again, because the issuer can have revoked one.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// How long keys are used if the issuer is not reachable.
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// The minimum time between two downloads from an issuer, regardless of the tokens.
const PAUSE: Duration = Duration::from_secs(60);
/// The maximum number of cached issuers.
const REMEMBERED: usize = 1000;

/// Members of a JWK that are private.
pub const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Whether a key, or any key of a set, contains private members.
pub fn holds_private_key(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            let private = |name: &String| PRIVATE_MEMBERS.contains(&name.as_str());
            members.keys().any(private) || members.values().any(holds_private_key)
        }
        Value::Array(items) => items.iter().any(holds_private_key),
        _ => false,
    }
}

/// The downloaded keys of an issuer.
#[derive(Default)]
pub struct Keys {
    issuers: Mutex<HashMap<String, Arc<Fetched>>>,
}

#[derive(Default)]
struct Fetched {
    known: Mutex<CachedKeys>,
    /// Held during the download: concurrent requests wait for its result.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct CachedKeys {
    keys: Arc<Vec<Jwk>>,
    fetched_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

impl CachedKeys {
    fn younger(time: Option<Timestamp>, now: Timestamp, age: Duration) -> bool {
        time.is_some_and(|time| now.since(time) < age)
    }

    fn select(&self, kid: Option<&str>, now: Timestamp) -> Vec<Jwk> {
        if Self::younger(self.fetched_at, now, USABLE) { select(&self.keys, kid) } else { Vec::new() }
    }
}

impl Keys {
    /// The keys of `issuer` with which a token with this key ID can be signed. They are downloaded if they
    /// are unknown or old, but at most once a minute. `revision` is the revision of the issuer's row: after a
    /// change, the keys are downloaded again.
    pub async fn find(
        &self,
        issuer: &JwtIssuer,
        revision: i64,
        kid: Option<&str>,
        now: Timestamp,
    ) -> Vec<Jwk> {
        if let Some(given) = &issuer.jwks {
            return select(&parse(given), kid);
        }
        let fetched = self.of(&format!("{} {revision}", issuer.id));
        let wanted = |known: &CachedKeys| {
            let enough =
                CachedKeys::younger(known.fetched_at, now, FRESH) && !known.select(kid, now).is_empty();
            !enough && !CachedKeys::younger(known.tried_at, now, PAUSE)
        };
        let mut known = fetched.known();
        if wanted(&known) {
            let _turn = fetched.turn.lock().await;
            known = fetched.known();
            if wanted(&known) {
                known = fetched.ask(&issuer.issuer_url, now).await;
            }
        }
        known.select(kid, now)
    }

    fn of(&self, name: &str) -> Arc<Fetched> {
        let mut issuers = self.issuers.lock();
        if issuers.len() >= REMEMBERED && !issuers.contains_key(name) {
            issuers.clear();
        }
        issuers.entry(name.to_owned()).or_default().clone()
    }
}

impl Fetched {
    fn known(&self) -> CachedKeys {
        self.known.lock().clone()
    }

    async fn ask(&self, issuer_url: &str, now: Timestamp) -> CachedKeys {
        let keys = fetch::keys(issuer_url).await;
        let mut known = self.known.lock();
        known.tried_at = Some(now);
        match keys {
            Ok(text) => {
                known.keys = Arc::new(parse(&text));
                known.fetched_at = Some(now);
                tracing::info!(issuer = issuer_url, keys = known.keys.len(), "issuer keys fetched");
            }
            Err(error) => {
                let error = error.chain();
                tracing::warn!(issuer = issuer_url, error, "issuer keys not fetched");
            }
        }
        known.clone()
    }
}

/// The public keys in a key set that can sign. Unknown and secret keys are ignored.
fn parse(text: &str) -> Vec<Jwk> {
    let set: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let keys = set["keys"].as_array().cloned().unwrap_or_default();
    let keys = keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let signs = |key: &Jwk| {
        let public = !matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
        public && matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature))
    };
    keys.filter(signs).collect()
}

/// The keys with this ID, or all keys if the token has no key ID.
fn select(keys: &[Jwk], kid: Option<&str>) -> Vec<Jwk> {
    let wanted = |key: &&Jwk| kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid));
    keys.iter().filter(wanted).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_signing_keys_are_accepted() {
        let text = r#"{"keys":[
            {"kty":"oct","k":"c2VjcmV0","kid":"shared"},
            {"kty":"RSA","n":"AQAB","e":"AQAB","kid":"good","use":"sig"},
            {"kty":"RSA","n":"AQAB","e":"AQAB","kid":"sealing","use":"enc"},
            {"kty":"tomorrow","kid":"unknown"},
            {"kty":"RSA","n":"AQAB","e":"AQAB"}
        ]}"#;
        let keys = parse(text);
        let ids: Vec<_> = keys.iter().map(|key| key.common.key_id.as_deref()).collect();
        assert_eq!(ids, [Some("good"), None]);
        assert_eq!(select(&keys, Some("good")).len(), 1);
        assert_eq!(select(&keys, Some("other")).len(), 0);
        assert_eq!(select(&keys, None).len(), 2);
        assert!(parse("{updated: 1}").is_empty() && parse("[]").is_empty());
    }
}
