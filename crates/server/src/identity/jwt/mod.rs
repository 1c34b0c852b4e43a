//! Tokens of other issuers: resolves a signed token to a principal of this server.
//!
//! Only asymmetric algorithms are accepted, never `none` or HMAC. Issuer, audience, validity period, and
//! identity must all match, and every failure returns the same error, 401.

mod fetch;
pub mod keys;

use crate::{
    documents::{self, Stored},
    identity::{Identity, api_key::unauthenticated, principal},
};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, jwk::Jwk};
use ootheca_model::{
    JwtIssuer, Organization, OrganizationId, Person, Principal, PrincipalId, Result, ServiceAccount,
    Timestamp,
};
use ootheca_store::{Kind, Query};
use serde_json::Value;
use std::sync::Arc;

/// The tolerated difference of clocks in seconds.
const LEEWAY: i64 = 30;
/// The maximum length of a token in bytes.
const LONGEST: usize = 16 * 1024;

/// The accepted signature algorithms.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The principal that `token` identifies, in the organization with this short name. `username` selects one of
/// several identities.
pub async fn principal(
    identity: &Identity,
    token: &str,
    vanity_name: &str,
    username: Option<&str>,
) -> Result<Arc<Principal>> {
    let result = known(identity, token, vanity_name, username).await?;
    result.map_err(|why| {
        tracing::debug!(why, "token refused");
        unauthenticated()
    })
}

/// The same, with the reason of a refusal for the log.
async fn known(
    identity: &Identity,
    token: &str,
    vanity_name: &str,
    username: Option<&str>,
) -> Result<std::result::Result<Arc<Principal>, &'static str>> {
    let Some((header, claims)) = look_into(token) else { return Ok(Err("not a supported JWT")) };
    let row = identity.context.store.by_unique_key(Kind::Organization, vanity_name).await?;
    let Some(row) = row else { return Ok(Err("unknown vanity name")) };
    let organization = documents::decode::<Organization>(row)?.value.id;
    let issuers = Query { organization: Some(organization), ..Query::all(Kind::JwtIssuer) };
    let mut why = "unknown issuer or audience";
    for row in identity.context.store.list(&issuers).await? {
        let Stored { row, value: issuer } = documents::decode::<JwtIssuer>(row)?;
        if !names(&claims, &issuer) {
            continue;
        }
        if let Err(reason) = in_time(&claims, identity.context.now()) {
            return Ok(Err(reason));
        }
        let keys = identity
            .issuer_keys
            .find(&issuer, row.revision, header.kid.as_deref(), identity.context.now())
            .await;
        if !keys.iter().any(|key| is_signed(token, header.alg, key)) {
            why = "the signature does not match any key of the issuer";
            continue;
        }
        let found = resolve(identity, organization, &identities(&claims, &issuer), username).await?;
        return Ok(found.ok_or("the identity does not match exactly one user or service account"));
    }
    Ok(Err(why))
}

/// Header and claims, unverified.
fn look_into(token: &str) -> Option<(Header, Value)> {
    if token.len() > LONGEST {
        return None;
    }
    let header = jsonwebtoken::decode_header(token).ok()?;
    // Critical extensions, none of which are supported.
    if header.crit.is_some() || !ALGORITHMS.contains(&header.alg) {
        return None;
    }
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).ok()?.claims;
    Some((header, claims))
}

/// Whether the token has this issuer and its audience.
fn names(claims: &Value, issuer: &JwtIssuer) -> bool {
    let for_us = match &claims["aud"] {
        Value::String(audience) => *audience == issuer.audience,
        Value::Array(audiences) => audiences.iter().any(|audience| *audience == issuer.audience.as_str()),
        _ => false,
    };
    for_us && claims["iss"] == issuer.issuer_url.as_str()
}

/// Whether the token is valid now. A token without an expiration time is not.
fn in_time(claims: &Value, now: Timestamp) -> std::result::Result<(), &'static str> {
    let now = now.0 / 1_000_000;
    // Fractions of seconds are allowed.
    #[allow(clippy::cast_possible_truncation)]
    let seconds = |name: &str| claims[name].as_f64().filter(|time| time.abs() < 1e15).map(|time| time as i64);
    let Some(end) = seconds("exp") else { return Err("no expiration time") };
    if end + LEEWAY <= now {
        return Err("expired");
    }
    match (&claims["nbf"], seconds("nbf")) {
        (Value::Null, _) => Ok(()),
        (_, Some(start)) if start <= now + LEEWAY => Ok(()),
        _ => Err("not valid yet"),
    }
}

fn is_signed(token: &str, algorithm: Algorithm, key: &Jwk) -> bool {
    let named = key.common.key_algorithm.map(|named| named.to_string());
    if named.is_some_and(|named| named != format!("{algorithm:?}")) {
        return false;
    }
    let Ok(key) = DecodingKey::from_jwk(key) else { return false };
    let mut validation = Validation::new(algorithm);
    // The claims are checked here, with the clock of the server.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

/// The identities on this server that the token can refer to.
fn identities(claims: &Value, issuer: &JwtIssuer) -> Vec<String> {
    // An email address that the issuer has not verified identifies no person.
    if issuer.claim() == "email" && claims["email_verified"] == Value::Bool(false) {
        return Vec::new();
    }
    match &claims[issuer.claim()] {
        Value::String(identity) => issuer.identities(identity),
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).flat_map(|one| issuer.identities(one)).collect()
        }
        _ => Vec::new(),
    }
}

/// The single principal that the identities refer to.
async fn resolve(
    identity: &Identity,
    organization: OrganizationId,
    identities: &[String],
    username: Option<&str>,
) -> Result<Option<Arc<Principal>>> {
    let username = username.map(str::to_lowercase).filter(|name| !name.is_empty());
    let mut found: Option<Arc<Principal>> = None;
    for claimed in identities {
        if username.as_ref().is_some_and(|name| name != claimed) {
            continue;
        }
        let Some(principal) = named(identity, organization, claimed).await? else { continue };
        if found.as_ref().is_some_and(|other| other.id != principal.id) {
            return Ok(None);
        }
        found = Some(principal);
    }
    Ok(found)
}

async fn named(
    identity: &Identity,
    organization: OrganizationId,
    claimed: &str,
) -> Result<Option<Arc<Principal>>> {
    if let Ok(id) = claimed.parse::<PrincipalId>() {
        let account = identity.context.find::<ServiceAccount>(&id.to_string()).await?;
        let account = account.filter(|account| account.value.organization == organization);
        return Ok(account.map(|account| Arc::new(principal::of_account(&account.value))));
    }
    let row =
        identity.context.store.by_unique_key(Kind::Person, &format!("{organization}/{claimed}")).await?;
    let person = row.map(documents::decode::<Person>).transpose()?.map(|found| found.value);
    match person.filter(|person| person.profile.active) {
        Some(person) => Ok(Some(principal::of_person(&identity.context, &person).await?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_valid_between_nbf_and_exp() {
        let now = Timestamp(1_000_000_000_000_000);
        for good in [json!({ "exp": 1_000_000_001 }), json!({ "exp": 1_000_000_000.5, "nbf": 999_999_999 })] {
            assert_eq!(in_time(&good, now), Ok(()), "{good}");
        }
        for bad in [
            json!({}),
            json!({ "exp": "1000000001" }),
            json!({ "exp": 999_999_970 }),
            json!({ "exp": 1e300 }),
            json!({ "exp": 1_000_000_100, "nbf": 1_000_000_031 }),
            json!({ "exp": 1_000_000_100, "nbf": "x" }),
        ] {
            assert!(in_time(&bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn none_and_symmetric_algorithms_are_refused() {
        // {"alg":"none"}, {"alg":"HS256"}, {"alg":"RS256","crit":["x"]}, each with {}
        for header in
            ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJSUzI1NiIsImNyaXQiOlsieCJdfQ"]
        {
            for end in ["", "AAAA"] {
                assert!(look_into(&format!("{header}.e30.{end}")).is_none(), "{header}");
            }
        }
        // {"alg":"RS256"}
        assert!(look_into("eyJhbGciOiJSUzI1NiJ9.e30.AAAA").is_some());
    }
}
