//! Issuers whose tokens are accepted in addition to API keys.

use crate::{
    api::{call::Call, convert::required, decision::Decision, handlers::paging},
    documents::{self, Stored},
    identity::jwt::keys,
    ids::fresh_id,
};
use ootheca_api::wire::*;
use ootheca_model::{Error, JwtIssuer as Model, Result, issuer::IdentityMapEntry};
use ootheca_store::{Batch, Kind, Query};
use std::sync::Arc;

/// The maximum length of a key set in bytes.
const LONGEST_JWKS: usize = 64 * 1024;

/// `GET /jwt-issuers`
pub async fn list_jwt_issuers(call: Arc<Call>, query: PageQuery) -> Result<ListJWTIssuersResponse> {
    let (rows, pagination) = paging::rows(&call, &query, Query::all(Kind::JwtIssuer)).await?;
    let issuers = rows.into_iter().map(|row| Ok(show(documents::decode::<Model>(row)?.value)));
    Ok(ListJWTIssuersResponse { jwt_issuers: issuers.collect::<Result<_>>()?, pagination })
}

/// `GET /jwt-issuers/{id}`
pub async fn get_jwt_issuer(call: Arc<Call>, path: IdPath) -> Result<JWTIssuer> {
    Ok(show(existing(&call, &path.id).await?.value))
}

/// `POST /jwt-issuers`
pub async fn add_jwt_issuer(call: Arc<Call>, body: JWTIssuerRequest) -> Result<Decision<JWTIssuer>> {
    let issuer = Model {
        organization: call.granted.organization(),
        id: fresh_id().to_string(),
        issuer_url: required("issuer_url", body.issuer_url)?,
        audience: required("audience", body.audience)?,
        claim: body.claim.filter(|claim| !claim.is_empty()),
        jwks: jwks(body.jwks)?.flatten(),
        identity_map: identity_map(body.identity_map.unwrap_or_default()),
        created_at: call.context.now(),
    };
    issuer.check()?;
    Ok(Decision::now(Batch::by(&call.granted).with(documents::insert(&issuer)?), show(issuer)))
}

/// `PATCH /jwt-issuers/{id}`: replaces the members that are present. An empty text removes a member.
pub async fn update_jwt_issuer(
    call: Arc<Call>,
    path: IdPath,
    body: JWTIssuerRequest,
) -> Result<Decision<JWTIssuer>> {
    let before = existing(&call, &path.id).await?;
    let mut after = before.value.clone();
    after.issuer_url = body.issuer_url.unwrap_or(after.issuer_url);
    after.audience = body.audience.unwrap_or(after.audience);
    after.claim = body.claim.or(after.claim).filter(|claim| !claim.is_empty());
    after.jwks = jwks(body.jwks)?.unwrap_or(after.jwks);
    after.identity_map = body.identity_map.map_or(after.identity_map, identity_map);
    after.check()?;
    Ok(Decision::now(Batch::by(&call.granted).with(documents::update(&before.row, &after)?), show(after)))
}

/// `DELETE /jwt-issuers/{id}`: its tokens are invalid immediately.
pub async fn delete_jwt_issuer(call: Arc<Call>, path: IdPath) -> Result<Decision<JWTIssuer>> {
    let before = existing(&call, &path.id).await?;
    Ok(Decision::now(Batch::by(&call.granted).with(documents::delete(&before.row)), show(before.value)))
}

async fn existing(call: &Call, id: &str) -> Result<Stored<Model>> {
    documents::get(&*call.context.store, call.granted.organization(), &id.to_lowercase()).await
}

/// The keys in a request: `None` if the member is absent, `Some(None)` if it is empty. A text that is not a
/// key set is stored, as the official clients expect, and verifies no token.
fn jwks(text: Option<String>) -> Result<Option<Option<String>>> {
    match text {
        None => Ok(None),
        Some(text) if text.len() > LONGEST_JWKS => {
            Err(Error::invalid("jwks", format!("must have at most {LONGEST_JWKS} bytes")))
        }
        Some(text) if private(&text) => {
            Err(Error::invalid("jwks", "must contain public keys only, not a private key or a shared secret"))
        }
        Some(text) => Ok(Some(Some(text).filter(|text| !text.is_empty()))),
    }
}

/// Whether the text contains a private key.
fn private(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|keys| keys::holds_private_key(&keys))
}

fn identity_map(entries: Vec<JWTIssuerIdentityMapEntry>) -> Vec<IdentityMapEntry> {
    let entries = entries.into_iter().map(|entry| IdentityMapEntry {
        token_identity: entry.token_identity.unwrap_or_default(),
        cc_identity: entry.cc_identity.unwrap_or_default(),
    });
    entries.collect()
}

fn show(issuer: Model) -> JWTIssuer {
    let entries = issuer.identity_map.into_iter().map(|entry| JWTIssuerIdentityMapEntry {
        token_identity: Some(entry.token_identity),
        cc_identity: Some(entry.cc_identity),
    });
    JWTIssuer {
        id: issuer.id,
        issuer_url: issuer.issuer_url,
        audience: issuer.audience,
        claim: issuer.claim,
        jwks: issuer.jwks,
        identity_map: entries.collect(),
    }
}
