//! API keys.

use super::{DateTime, KeysetPaginationResponse};
use crate::params::query_params;
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

query_params! {
    /// Of `ListApiKeys`.
    ListApiKeysQuery {
        /// Only keys of this service account.
        service_account_id: String = "service_account_id",
        ..page
    }
}

/// A key of a service account, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ApiKey {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The account that it acts for.
    pub service_account_id: String,
    /// When it was created.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// When it ends; left out where it never does. An extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub expiration_time: Option<Timestamp>,
    /// When it was last used, to about a minute; left out before that. An extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub last_used_at: Option<Timestamp>,
}

/// Answer of `ListApiKeys`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListApiKeysResponse {
    /// Keys, oldest first.
    pub api_keys: Vec<ApiKey>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateApiKey`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateApiKeyRequest {
    /// Name.
    pub name: Option<String>,
    /// The account that it will act for.
    pub service_account_id: Option<String>,
    /// When it shall end; never if it is left out. An extension.
    #[schemars(with = "Option<DateTime>")]
    pub expiration_time: Option<Timestamp>,
}

/// Answer of `CreateApiKey`.
#[derive(Clone, Serialize, JsonSchema)]
pub struct CreateApiKeyResponse {
    /// The key.
    pub api_key: ApiKey,
    /// Its secret, shown this once.
    pub secret: String,
}

/// Body of `UpdateApiKey`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateApiKeyRequest {
    /// Name.
    pub name: Option<String>,
    /// When it shall end. An extension.
    #[schemars(with = "Option<DateTime>")]
    pub expiration_time: Option<Timestamp>,
}
