//! API keys.

use super::{DateTime, KeysetPaginationResponse};
use crate::params::query_params;
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

query_params! {
    /// Query of `ListApiKeys`.
    ListApiKeysQuery {
        /// Only keys of this service account.
        service_account_id: String = "service_account_id",
        ..page
    }
}

/// A key of a service account, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ApiKey {
    /// ID of the API key.
    pub id: String,
    /// Name of the API key.
    pub name: String,
    /// ID of the service account that the key belongs to.
    pub service_account_id: String,
    /// When it was created.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// When it expires; omitted if it does not expire. An extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub expiration_time: Option<Timestamp>,
    /// When it was last used, accurate to about a minute; omitted if it was not used yet. An extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub last_used_at: Option<Timestamp>,
}

/// Response of `ListApiKeys`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListApiKeysResponse {
    /// API keys, oldest first.
    pub api_keys: Vec<ApiKey>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateApiKey`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateApiKeyRequest {
    /// Name of the API key.
    pub name: Option<String>,
    /// ID of the service account that the key belongs to.
    pub service_account_id: Option<String>,
    /// When it expires; it does not expire if this is omitted. An extension.
    #[schemars(with = "Option<DateTime>")]
    pub expiration_time: Option<Timestamp>,
}

/// Response of `CreateApiKey`.
#[derive(Clone, Serialize, JsonSchema)]
pub struct CreateApiKeyResponse {
    /// The API key.
    pub api_key: ApiKey,
    /// The secret, which is shown only once.
    pub secret: String,
}

/// Body of `UpdateApiKey`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateApiKeyRequest {
    /// Name of the API key.
    pub name: Option<String>,
    /// When it expires. An extension.
    #[schemars(with = "Option<DateTime>")]
    pub expiration_time: Option<Timestamp>,
}
