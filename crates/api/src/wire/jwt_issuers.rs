//! Issuers of JSON Web Tokens.

use super::KeysetPaginationResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An issuer whose tokens are accepted in addition to API keys.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct JWTIssuer {
    /// ID of the issuer.
    pub id: String,
    /// The claim `iss` of its tokens.
    pub issuer_url: String,
    /// A value that the claim `aud` of its tokens must contain.
    pub audience: String,
    /// The claim that identifies the caller; `sub` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Its public keys, as a JSON Web Key Set; downloaded from the issuer if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// Maps identities in tokens to users and service accounts.
    pub identity_map: Vec<JWTIssuerIdentityMapEntry>,
}

/// An entry of an identity map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JWTIssuerIdentityMapEntry {
    /// The identity in the token, or a regular expression that starts with `/`.
    #[schemars(required)]
    pub token_identity: Option<String>,
    /// An email address or the ID of a service account; `\1` is replaced by what the expression matched.
    #[schemars(required)]
    pub cc_identity: Option<String>,
}

/// Response of `ListJWTIssuers`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListJWTIssuersResponse {
    /// Issuers, ordered by URL.
    pub jwt_issuers: Vec<JWTIssuer>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `AddJWTIssuer` and `UpdateJWTIssuer`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct JWTIssuerRequest {
    /// The claim `iss` of its tokens, an https URL.
    pub issuer_url: Option<String>,
    /// A value that the claim `aud` of its tokens must contain.
    pub audience: Option<String>,
    /// The claim that identifies the caller.
    pub claim: Option<String>,
    /// Its public keys, as a JSON Web Key Set.
    pub jwks: Option<String>,
    /// Maps identities in tokens to users and service accounts.
    pub identity_map: Option<Vec<JWTIssuerIdentityMapEntry>>,
}
