//! Parameters in path and query: declarations, decoding, and their description in OpenAPI.

use crate::{requests, router::Params};
use ootheca_model::{
    Error, Result, Role, Timestamp,
    cluster::{CloudProvider, ClusterSortBy, OperatingSystem, SortOrder},
};
use serde_json::{Value, json};

/// The path parameters of an operation.
pub trait PathParams: Sized {
    /// Name, schema, and description of each parameter.
    fn describe() -> Vec<(&'static str, Value, &'static str)>;

    /// Decodes the parameters.
    fn read(params: &Params) -> Result<Self>;
}

/// The query parameters of an operation.
pub trait QueryParams: Sized {
    /// The parameters as OpenAPI objects.
    fn describe() -> Vec<Value>;

    /// Decodes the parameters.
    fn read(pairs: &Pairs) -> Result<Self>;
}

/// A value in a path or a query.
pub trait ParamValue: Sized {
    /// The schema of the value.
    fn schema() -> Value;

    /// Parses a value. The error is the rule that the text breaks.
    fn parse(text: &str) -> Result<Self, String>;

    /// Parses all texts that a query contains for one name; the last one applies. An empty text is the same
    /// as no value, except if the parameter is a text.
    fn parse_all(texts: &[&str]) -> Result<Option<Self>, String> {
        match texts.last() {
            None => Ok(None),
            Some(&"") => Ok(Self::parse("").ok()),
            Some(text) => Self::parse(text).map(Some),
        }
    }
}

/// The decoded query of a request, with canonical names.
#[derive(Clone, Debug, Default)]
pub struct Pairs(pub(crate) Vec<(String, String)>);

impl Pairs {
    /// The last text for `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = requests::snake_case(name);
        self.0.iter().rev().find(|(key, _)| *key == name).map(|(_, text)| text.as_str())
    }

    /// The value of `name`.
    pub fn value<T: ParamValue>(&self, name: &str) -> Result<Option<T>> {
        let wanted = requests::snake_case(name);
        let texts: Vec<&str> =
            self.0.iter().filter(|(key, _)| *key == wanted).map(|(_, text)| text.as_str()).collect();
        T::parse_all(&texts).map_err(|rule| Error::invalid(name, rule))
    }
}

impl ParamValue for String {
    fn schema() -> Value {
        json!({ "type": "string" })
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl ParamValue for i32 {
    fn schema() -> Value {
        // All of them are limits and masks.
        json!({ "type": "integer", "format": "int32", "minimum": 0 })
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("must be a 32-bit integer, not {text:?}"))
    }
}

/// An integer that can be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed(pub i32);

impl ParamValue for Signed {
    fn schema() -> Value {
        json!({ "type": "integer", "format": "int32" })
    }

    fn parse(text: &str) -> Result<Self, String> {
        i32::parse(text).map(Self)
    }
}

impl ParamValue for bool {
    fn schema() -> Value {
        json!({ "type": "boolean" })
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("must be true or false, not {text:?}"))
    }
}

impl ParamValue for Timestamp {
    fn schema() -> Value {
        // An empty text is the same as no value.
        json!({ "type": "string", "anyOf": [{ "format": "date-time" }, { "maxLength": 0 }] })
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("must be an RFC 3339 time such as 2026-01-31T12:00:00Z, not {text:?}"))
    }
}

/// A parameter that can be repeated.
impl<T: ParamValue> ParamValue for Vec<T> {
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(vec![T::parse(text)?])
    }

    fn parse_all(texts: &[&str]) -> Result<Option<Self>, String> {
        let given = texts.iter().filter(|text| !text.is_empty());
        let all: Self = given.map(|text| T::parse(text)).collect::<Result<_, _>>()?;
        Ok((!all.is_empty()).then_some(all))
    }
}

macro_rules! enum_params {
    ($($type:ident)*) => {$(
        impl ParamValue for $type {
            fn schema() -> Value {
                json!({ "type": "string", "enum": $type::ALL })
            }

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| {
                    let all: Vec<&str> = $type::ALL.iter().map(|value| value.name()).collect();
                    format!("must be one of {}, not {text:?}", all.join(", "))
                })
            }
        }
    )*};
}

enum_params!(CloudProvider ClusterSortBy OperatingSystem Role SortOrder);

/// An operation without path parameters.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPath;

impl PathParams for NoPath {
    fn describe() -> Vec<(&'static str, Value, &'static str)> {
        Vec::new()
    }

    fn read(_: &Params) -> Result<Self> {
        Ok(Self)
    }
}

/// An operation without query parameters.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoQuery;

impl QueryParams for NoQuery {
    fn describe() -> Vec<Value> {
        Vec::new()
    }

    fn read(_: &Pairs) -> Result<Self> {
        Ok(Self)
    }
}

/// The name of a path parameter: the name of its field, unless the path uses a different one.
pub(crate) fn wire_name(field: &'static str, wire: &'static str) -> &'static str {
    if wire.is_empty() { field } else { wire }
}

/// Declares the path parameters of operations, with `= "name"` if the path uses a different name.
macro_rules! path_params {
    (
        $(#[doc = $doc:literal])* $name:ident {
            $(#[doc = $field_doc:literal] $field:ident: $type:ty $(= $wire:literal)?,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(#[doc = $field_doc] pub $field: $type,)*
        }

        impl crate::params::PathParams for $name {
            fn describe() -> Vec<(&'static str, serde_json::Value, &'static str)> {
                vec![$((
                    crate::params::wire_name(stringify!($field), concat!($($wire)?)),
                    <$type as crate::params::ParamValue>::schema(),
                    $field_doc.trim_ascii(),
                )),*]
            }

            fn read(params: &crate::router::Params) -> ootheca_model::Result<Self> {
                Ok(Self {
                    $($field: params.value(
                        crate::params::wire_name(stringify!($field), concat!($($wire)?)),
                    )?,)*
                })
            }
        }
    };
}

/// Declares the query parameters of operations. `..page` adds the pagination parameters.
macro_rules! query_params {
    (
        $(#[doc = $doc:literal])* $name:ident {
            $(#[doc = $field_doc:literal] $field:ident: $type:ty = $($required:ident)? $wire:literal,)*
            $(..$page:ident)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $(#[doc = $field_doc] pub $field: Option<$type>,)*
            $(#[doc = "Which part of the list."] pub $page: crate::wire::PageQuery,)?
        }

        impl crate::params::QueryParams for $name {
            fn describe() -> Vec<serde_json::Value> {
                #[allow(unused_mut)]
                let mut all = vec![$(serde_json::json!({
                    "name": $wire,
                    "in": "query",
                    "required": matches!(stringify!($($required)?), "required"),
                    "schema": <$type as crate::params::ParamValue>::schema(),
                    "description": $field_doc.trim_ascii(),
                })),*];
                $(all.extend({
                    let $page = <crate::wire::PageQuery as crate::params::QueryParams>::describe();
                    $page
                });)?
                all
            }

            fn read(pairs: &crate::params::Pairs) -> ootheca_model::Result<Self> {
                Ok(Self {
                    $($field: pairs.value($wire)?,)*
                    $($page: crate::params::QueryParams::read(pairs)?,)?
                })
            }
        }
    };
}

pub(crate) use {path_params, query_params};
