//! The organization.

use super::DateTime;
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// An organization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Organization {
    /// Id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Short name.
    pub label: String,
    /// When it was created.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// Identities of this service in each cloud; none here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cockroach_cloud_service_principals: Option<CockroachCloudServicePrincipals>,
}

/// Identities of the service in each cloud.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct CockroachCloudServicePrincipals {
    /// On AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
    /// On Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,
    /// On GCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp: Option<Gcp>,
}

/// An identity on AWS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Aws {
    /// Name of the user.
    pub user_arn: String,
}

/// An identity on Azure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Azure {
    /// Client id of the application.
    pub app_registration_client_id: String,
    /// Name of the application.
    pub app_registration_name: String,
}

/// An identity on GCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Gcp {
    /// E-mail address of the service account.
    pub service_account_email: String,
}
