//! The description of the SCIM service, the same for every caller.

use crate::api::{
    call::Call,
    handlers::scim::{MOST, answer, location, shown},
};
use ootheca_api::{scim, wire::*};
use ootheca_model::{Error, Result};
use std::sync::Arc;

const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// `GET /ServiceProviderConfig`
pub async fn get_service_provider_config(_call: Arc<Call>) -> Result<GetServiceProviderConfigResponse> {
    let place = format!("{}/ServiceProviderConfig", scim::PREFIX);
    Ok(GetServiceProviderConfigResponse {
        schemas: vec![CONFIG.to_owned()],
        patch: ScimPatchSupport { supported: true },
        bulk: ScimBulkSupport { supported: false, max_operations: Some(0), max_payload_size: Some(0) },
        filter: ScimFilterSupport { supported: true, max_results: Some(MOST) },
        change_password: ScimChangePasswordSupport { supported: false },
        sort: ScimSortSupport { supported: true },
        etag: ScimEtagSupport { supported: false, max_results: None },
        authentication_schemes: vec![ScimAuthenticationScheme {
            r#type: "oauthbearertoken".to_owned(),
            name: "API key".to_owned(),
            description: "The secret of an API key of a service account with ORG_ADMIN.".to_owned(),
            spec_uri: Some("https://www.rfc-editor.org/info/rfc6750".to_owned()),
            documentation_uri: None,
            primary: Some(true),
        }],
        meta: Some(about("ServiceProviderConfig", place)),
    })
}

/// `GET /ResourceTypes`
pub async fn get_resource_types(_call: Arc<Call>, query: ScimShowQuery) -> Result<GetResourceTypesResponse> {
    Ok(answer!(whole(resource_types(), &query)?, GetResourceTypesResponse))
}

/// `GET /ResourceTypes/{resourceId}`
pub async fn get_resource_type(
    _call: Arc<Call>,
    path: ResourceTypePath,
    query: ScimShowQuery,
) -> Result<ScimResourceType> {
    let found = resource_types().into_iter().find(|known| known.id.eq_ignore_ascii_case(&path.resource_id));
    shown(found.ok_or_else(|| Error::not_found("resource type"))?, &query)
}

/// `GET /Schemas`
pub async fn get_schemas(_call: Arc<Call>, query: ScimShowQuery) -> Result<GetSchemasResponse> {
    Ok(answer!(whole(vec![user_schema(), group_schema()], &query)?, GetSchemasResponse))
}

/// `GET /Schemas/{schemaId}`
pub async fn get_schema(_call: Arc<Call>, path: SchemaPath, query: ScimShowQuery) -> Result<ScimSchema> {
    let mut all = [user_schema(), group_schema()].into_iter();
    let found = all.find(|known| known.id.eq_ignore_ascii_case(&path.schema_id));
    shown(found.ok_or_else(|| Error::not_found("schema"))?, &query)
}

/// A list with all items on one page.
fn whole<T>(all: Vec<T>, query: &ScimShowQuery) -> Result<super::Page<T>>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let items = all.into_iter().map(|item| shown(item, query)).collect::<Result<Vec<T>>>()?;
    Ok(super::Page { total: super::int32(items.len()), start: 1, items })
}

fn about(kind: &str, place: String) -> ScimMetadata {
    ScimMetadata { resource_type: Some(kind.to_owned()), location: Some(place), ..ScimMetadata::default() }
}

fn resource_types() -> Vec<ScimResourceType> {
    let kinds = [("User", scim::USER, "A user"), ("Group", scim::GROUP, "Users with the same roles")];
    let shown = kinds.map(|(name, schema, description)| ScimResourceType {
        schemas: vec![RESOURCE_TYPE.to_owned()],
        id: name.to_owned(),
        name: name.to_owned(),
        description: Some(description.to_owned()),
        endpoint: format!("/{name}s"),
        schema: schema.to_owned(),
        meta: Some(about("ResourceType", location("ResourceType", name))),
    });
    shown.into()
}

fn schema(id: &str, name: &str, description: &str, attributes: Vec<ScimSchemaAttribute>) -> ScimSchema {
    ScimSchema {
        schemas: vec![SCHEMA.to_owned()],
        id: id.to_owned(),
        name: Some(name.to_owned()),
        description: Some(description.to_owned()),
        attributes: Some(attributes),
        meta: Some(about("Schema", location("Schema", id))),
    }
}

fn attribute(name: &str, r#type: &str, description: &str) -> ScimSchemaAttribute {
    ScimSchemaAttribute {
        name: name.to_owned(),
        r#type: r#type.to_owned(),
        description: description.to_owned(),
        mutability: "readWrite".to_owned(),
        returned: "default".to_owned(),
        uniqueness: "none".to_owned(),
        ..ScimSchemaAttribute::default()
    }
}

fn list(name: &str, description: &str, within: Vec<ScimSchemaAttribute>) -> ScimSchemaAttribute {
    ScimSchemaAttribute {
        multi_valued: true,
        sub_attributes: within,
        ..attribute(name, "complex", description)
    }
}

/// The attributes of a reference in a list: ID, name, and URL.
fn named(what: &str, target: &str, mutability: &str) -> Vec<ScimSchemaAttribute> {
    let place = ScimSchemaAttribute {
        reference_types: vec![target.to_owned()],
        case_exact: true,
        ..attribute("$ref", "reference", &format!("URL of the {what}"))
    };
    let mut all = vec![
        ScimSchemaAttribute {
            case_exact: true,
            ..attribute("value", "string", &format!("ID of the {what}"))
        },
        place,
        attribute("display", "string", &format!("Name of the {what}")),
        attribute("type", "string", "Type of the resource"),
    ];
    all.iter_mut().for_each(|attribute| attribute.mutability = mutability.to_owned());
    all
}

fn external_id() -> ScimSchemaAttribute {
    ScimSchemaAttribute {
        case_exact: true,
        ..attribute("externalId", "string", "ID at the identity provider")
    }
}

fn user_schema() -> ScimSchema {
    let name = ScimSchemaAttribute {
        sub_attributes: vec![
            attribute("givenName", "string", "Given name"),
            attribute("familyName", "string", "Family name"),
        ],
        ..attribute("name", "complex", "The parts of the name")
    };
    let emails = vec![
        ScimSchemaAttribute { required: true, ..attribute("value", "string", "The email address") },
        attribute("display", "string", "The display form of the address"),
        ScimSchemaAttribute {
            canonical_values: ["work", "home", "other"].map(str::to_owned).into(),
            ..attribute("type", "string", "Type of the address")
        },
        attribute("primary", "boolean", "Whether this is the primary address"),
    ];
    let groups = list("groups", "The groups of the user", named("group", "Group", "readOnly"));
    let attributes = vec![
        ScimSchemaAttribute {
            required: true,
            uniqueness: "server".to_owned(),
            ..attribute("userName", "string", "Name for signing in. Defaults to the email address")
        },
        external_id(),
        attribute("displayName", "string", "Display name"),
        name,
        ScimSchemaAttribute { required: true, ..list("emails", "Email addresses", emails) },
        attribute("active", "boolean", "Whether the user is active. An inactive user has no access"),
        ScimSchemaAttribute { mutability: "readOnly".to_owned(), ..groups },
    ];
    schema(scim::USER, "User", "A user", attributes)
}

fn group_schema() -> ScimSchema {
    let attributes = vec![
        ScimSchemaAttribute { required: true, ..attribute("displayName", "string", "Display name") },
        external_id(),
        list("members", "The users in the group", named("user", "User", "immutable")),
    ];
    schema(scim::GROUP, "Group", "Users with the same roles", attributes)
}
