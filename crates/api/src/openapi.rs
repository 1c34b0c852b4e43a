//! The OpenAPI document of this server, generated from the table and the wire types.

use crate::{
    extensions, for_each_operation,
    operations::{Op, Operation, Scope, TABLE},
    params::{PathParams, QueryParams},
    scim,
    versions::Version,
    wire::*,
};
use ootheca_model::identity::Requirement;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The document, in the format of the newest version.
pub fn document(server_url: &str) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for operation in &TABLE {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method.name().to_ascii_lowercase()] = schemas.operation(operation);
    }
    let mut tags: Vec<&str> = TABLE.iter().map(|row| row.tag).collect();
    tags.sort_unstable();
    tags.dedup();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ootheca Cloud API",
            "version": Version::LATEST.header(),
            "description": "Operations with x-unimplemented are not implemented yet and respond with 501. Operations with x-extension are not part of the official API.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server_url }],
        "security": [{ "bearer": [] }],
        "tags": tags.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The secret of an API key of a service account.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "ootheca_session",
                    "description": "The cookie that CreateSession sets. A change also contains the CSRF token of the session in X-CSRF-Token.",
                },
            },
            "parameters": parameters(),
            "responses": { "Error": error_response(), "ScimError": scim_error_response() },
            "schemas": schemas.finish(),
        },
    })
}

/// Schemas of requests and responses differ in which members are required, so each has its own generator.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

/// The schemas and parameters of a row.
struct Shape {
    path: Vec<(&'static str, Value, &'static str)>,
    query: Vec<Value>,
    body: Value,
    answer: Value,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            requests: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }

    fn shape<P: PathParams, Q: QueryParams, B: JsonSchema, R: JsonSchema>(&mut self) -> Shape {
        Shape {
            path: P::describe(),
            query: Q::describe(),
            body: self.requests.subschema_for::<B>().to_value(),
            answer: self.answers.subschema_for::<R>().to_value(),
        }
    }

    fn operation(&mut self, row: &Operation) -> Value {
        let mut operation = json!({
            "operationId": row.name,
            "tags": [row.tag],
            "summary": row.summary,
            "description": access(row),
            "x-roles": roles(row),
        });
        let mut parameters = vec![json!({ "$ref": "#/components/parameters/Cc-Version" })];
        if row.is_extension() {
            operation["x-extension"] = true.into();
        }
        match (row.requirement, row.scope) {
            (Requirement::Public, _) => operation["security"] = json!([]),
            (_, Scope::Session) => operation["security"] = json!([{ "session": [] }]),
            _ => {}
        }
        if row.audit.is_some() && extensions::are_supported(row.op) {
            let extension = |(name, _)| json!({ "$ref": format!("#/components/parameters/{name}") });
            parameters.extend(extensions::components().map(extension));
        }
        let error = if scim::covers(row.path) { "ScimError" } else { "Error" };
        let error = json!({ "$ref": format!("#/components/responses/{error}") });
        let mut responses = json!({ "default": error });
        match self.shape_of(row.op) {
            None => {
                operation["x-unimplemented"] = true.into();
                let text = json!({ "type": "string" });
                parameters.extend(row.path_params().map(|name| path_parameter(name, &text, "")));
                responses["501"] = error;
            }
            Some(shape) => {
                parameters
                    .extend(shape.path.iter().map(|(name, schema, text)| path_parameter(name, schema, text)));
                parameters.extend(shape.query);
                if row.has_body {
                    operation["requestBody"] = request_body(row, &shape.body);
                }
                responses["200"] = json!({
                    "description": "The request succeeded.",
                    "content": content(row, shape.answer),
                });
                for status in ["400", "401", "403", "404", "500"] {
                    responses[status] = error.clone();
                }
                if row.streams {
                    responses["410"] = error;
                }
            }
        }
        operation["parameters"] = parameters.into();
        operation["responses"] = responses;
        operation
    }

    fn finish(mut self) -> Map<String, Value> {
        let mut all = self.requests.take_definitions(true);
        for (name, schema) in self.answers.take_definitions(true) {
            let before = all.insert(name.clone(), schema.clone());
            assert!(
                before.is_none_or(|before| before == schema),
                "{name} means different things in requests and in answers"
            );
        }
        all
    }
}

macro_rules! shapes {
    (
        built { $({
            $op:ident, $handler:ident, $tag:literal, $method:ident $path:literal,
            ($params:ident, $query:ident, $body:ident) -> $reply:ident,
            [$($access:tt)*], $kind:ident $($action:ident)?, $summary:literal
        })* }
        later { $($later:tt)* }
    ) => {
        impl Schemas {
            fn shape_of(&mut self, op: Op) -> Option<Shape> {
                match op {
                    $(Op::$op => Some(self.shape::<$params, $query, $body, $reply>()),)*
                    _ => None,
                }
            }
        }
    };
}

for_each_operation!(shapes);

fn roles(row: &Operation) -> Vec<&'static str> {
    match row.requirement {
        Requirement::Roles(roles) => roles.iter().map(|role| role.name()).collect(),
        Requirement::Public | Requirement::Member | Requirement::Grantor => Vec::new(),
    }
}

/// One sentence that says which callers can use an operation.
pub(crate) fn access(row: &Operation) -> String {
    let roles = roles(row).join(", ");
    match (row.requirement, row.scope) {
        (Requirement::Public, _) => "No authentication required.".to_owned(),
        (Requirement::Member, Scope::Session) => "Requires a signed-in user.".to_owned(),
        (Requirement::Member, _) => "Requires membership in the organization.".to_owned(),
        (Requirement::Grantor, _) => "Requires permission to manage each changed grant.".to_owned(),
        (_, Scope::Organization | Scope::Session) => {
            format!("Requires one of these roles on the organization: {roles}.")
        }
        (_, Scope::Cluster(parameter)) => {
            format!("Requires one of these roles on the cluster {parameter}: {roles}.")
        }
        (_, Scope::Folder(parameter)) => {
            format!("Requires one of these roles on the folder {parameter}: {roles}.")
        }
        (_, Scope::Folders) => {
            format!("Requires one of these roles on the organization or the folder: {roles}.")
        }
        (_, Scope::Visible) => {
            format!("Limited to objects on which the caller has one of these roles: {roles}.")
        }
    }
}

fn path_parameter(name: &str, schema: &Value, description: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schema, "description": description })
}

/// No body and `null` are read as an empty object.
fn request_body(row: &Operation, schema: &Value) -> Value {
    let schema = json!({ "anyOf": [schema, { "type": "null" }] });
    json!({ "required": false, "content": content(row, schema) })
}

fn parameters() -> Map<String, Value> {
    let version = ("Cc-Version", version_parameter());
    let all = std::iter::once(version).chain(extensions::components());
    all.map(|(name, parameter)| (name.to_owned(), parameter)).collect()
}

fn version_parameter() -> Value {
    let latest = Version::LATEST.header();
    let versions = Version::ALL.map(Version::header).into_iter().chain(["latest"]);
    json!({
        "name": "Cc-Version",
        "in": "header",
        "required": false,
        "description": format!(
            "Version of the API, 2022-03-31 by default. This document describes {latest}, without the operations \
             that it added: those are not implemented yet and respond with 404."
        ),
        "schema": { "type": "string", "enum": versions.collect::<Vec<_>>() },
    })
}

fn error_response() -> Value {
    json!({
        "description": "The error. The message names the field and the rule.",
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {
                "code": { "type": "integer", "format": "int32", "description": "A google.rpc code." },
                "message": { "type": "string" },
                "details": { "type": "array", "items": { "type": "object" } },
            },
        } } },
    })
}

/// A schema under the content types of a row.
fn content(row: &Operation, schema: Value) -> Value {
    if row.streams {
        return json!({ "text/event-stream": { "schema": schema } });
    }
    let mut content = json!({ "application/json": { "schema": schema } });
    if scim::covers(row.path) {
        content[scim::CONTENT_TYPE] = content["application/json"].clone();
    }
    content
}

fn scim_error_response() -> Value {
    let schema = json!({ "schema": {
        "type": "object",
        "required": ["schemas", "status", "detail"],
        "properties": {
            "schemas": { "type": "array", "items": { "type": "string" } },
            "status": { "type": "string", "description": "The HTTP status." },
            "detail": { "type": "string" },
            "scimType": { "type": "string", "description": "The type of the error, as RFC 7644 defines it." },
        },
    } });
    json!({
        "description": "The error, in the format of SCIM.",
        "content": { "application/json": schema, scim::CONTENT_TYPE: schema },
    })
}

#[cfg(test)]
mod tests;
