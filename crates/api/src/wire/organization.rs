//! The organization.

use super::DateTime;
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// An organization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Organization {
    /// ID of the organization.
    pub id: String,
    /// Full name of the organization.
    pub name: String,
    /// Short name of the organization.
    pub label: String,
    /// When it was created.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// Identities of this service with each cloud provider; none on this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cockroach_cloud_service_principals: Option<CockroachCloudServicePrincipals>,
}

/// Identities of this service with each cloud provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct CockroachCloudServicePrincipals {
    /// Identity on AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
    /// Identity on Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,
    /// Identity on GCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp: Option<Gcp>,
}

/// An identity on AWS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Aws {
    /// ARN of the user.
    pub user_arn: String,
}

/// An identity on Azure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Azure {
    /// Client ID of the application.
    pub app_registration_client_id: String,
    /// Name of the application.
    pub app_registration_name: String,
}

/// An identity on GCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Gcp {
    /// Email address of the service account.
    pub service_account_email: String,
}
