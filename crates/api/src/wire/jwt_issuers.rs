//! Issuers of tokens.

use super::KeysetPaginationResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose tokens are accepted beside API keys.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct JWTIssuer {
    /// Id.
    pub id: String,
    /// `iss` of its tokens.
    pub issuer_url: String,
    /// `aud` that its tokens must hold.
    pub audience: String,
    /// The claim that names the caller; `sub` if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Its public keys, a JSON Web Key Set; fetched from the issuer if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// From identities in tokens to identities here.
    pub identity_map: Vec<JWTIssuerIdentityMapEntry>,
}

/// One line of an identity map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JWTIssuerIdentityMapEntry {
    /// The identity in the token, or a regular expression that begins with `/`.
    #[schemars(required)]
    pub token_identity: Option<String>,
    /// An e-mail address or the id of a service account; `\1` is what the expression matched.
    #[schemars(required)]
    pub cc_identity: Option<String>,
}

/// Answer of `ListJWTIssuers`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListJWTIssuersResponse {
    /// Issuers, by address.
    pub jwt_issuers: Vec<JWTIssuer>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `AddJWTIssuer` and `UpdateJWTIssuer`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct JWTIssuerRequest {
    /// `iss` of its tokens, an https address.
    pub issuer_url: Option<String>,
    /// `aud` that its tokens must hold.
    pub audience: Option<String>,
    /// The claim that names the caller.
    pub claim: Option<String>,
    /// Its public keys, a JSON Web Key Set.
    pub jwks: Option<String>,
    /// From identities in tokens to identities here.
    pub identity_map: Option<Vec<JWTIssuerIdentityMapEntry>>,
}
