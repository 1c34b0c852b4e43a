//! Finds the operation of a method and a path.
//!
//! Paths are matched while still percent-encoded, so that an encoded slash stays inside its parameter;
//! parameters are decoded afterwards. An empty segment is an empty parameter.

use crate::{
    operations::{Method, Op, Operation, TABLE},
    params::ParamValue,
    versions,
};
use ootheca_model::{Error, Result};
use percent_encoding::percent_decode_str;
use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

/// The result of looking up a method and a path.
#[derive(Debug)]
pub enum Resolved {
    /// An operation was found.
    Found {
        /// Its row.
        operation: &'static Operation,
        /// Its path parameters, decoded.
        params: Params,
    },
    /// The path exists, but not with this method.
    MethodNotAllowed {
        /// The methods of the path, in the format of the header `Allow`.
        allow: String,
    },
    /// The path does not exist.
    NotFound,
}

/// Decoded path parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, text)| text.as_str())
    }

    /// All parameters, in the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// The value of a parameter; an absent one is empty.
    pub(crate) fn value<T: ParamValue>(&self, name: &str) -> Result<T> {
        T::parse(versions::parameter(name, self.get(name).unwrap_or_default()))
            .map_err(|rule| Error::invalid(name, rule))
    }
}

/// Paths of roles also exist without the ID of the organization.
const ROLE_ON_ORGANIZATION: &str = "/api/v1/roles/{user_id}/{resource_type}/{role_name}";

/// Replaces empty segments for matching. No request path contains it.
const EMPTY: &str = "\0";

/// Finds the operation of a method and a path. The path is still percent-encoded.
pub fn resolve(method: &str, path: &str) -> Result<Resolved> {
    let Ok(found) = PATHS.at(&filled(path)).map(|found| (found.value, values(&found.params))) else {
        return Ok(Resolved::NotFound);
    };
    let (route, values) = found;
    let Some((names, operation)) = route.operations.iter().find(|(_, row)| row.method.name() == method)
    else {
        let allow: Vec<&str> = route.operations.iter().map(|(_, row)| row.method.name()).collect();
        return Ok(Resolved::MethodNotAllowed { allow: allow.join(", ") });
    };
    let params = names.iter().zip(values).map(|(name, raw)| Ok((*name, decode(name, &raw)?)));
    Ok(Resolved::Found { operation, params: Params(params.collect::<Result<_>>()?) })
}

/// The operations of a path by method, each with its own parameter names.
#[derive(Default)]
struct Route {
    operations: Vec<(Vec<&'static str>, &'static Operation)>,
}

static PATHS: LazyLock<matchit::Router<Route>> = LazyLock::new(|| {
    let mut routes: BTreeMap<String, Route> = BTreeMap::new();
    let mut add = |path: &'static str, operation: &'static Operation| {
        let names: Vec<&str> = segments(path).filter_map(|(_, name)| name).collect();
        routes.entry(by_place(path)).or_default().operations.push((names, operation));
    };
    for operation in &TABLE {
        add(operation.path, operation);
        if matches!(operation.op, Op::AddUserToRole | Op::RemoveUserFromRole) {
            add(ROLE_ON_ORGANIZATION, operation);
        }
    }
    let mut router = matchit::Router::new();
    for (path, mut route) in routes {
        route.operations.sort_by_key(|(_, row)| Method::ALL.iter().position(|method| *method == row.method));
        router.insert(path, route).expect("paths by place do not conflict");
    }
    router
});

/// The segments of a template, each with the name of its parameter if it is one.
fn segments(path: &'static str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    path.split('/').map(|text| (text, text.strip_prefix('{').and_then(|text| text.strip_suffix('}'))))
}

/// The template with its parameters named by position, so that templates with different names can share one
/// route.
fn by_place(path: &'static str) -> String {
    let named = segments(path).enumerate().map(|(place, (text, name))| match name {
        Some(_) => format!("{{p{place}}}").into(),
        None => Cow::Borrowed(text),
    });
    named.collect::<Vec<Cow<'_, str>>>().join("/")
}

fn filled(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return path.into();
    }
    let mut segments: Vec<&str> = path.split('/').collect();
    let last = segments.len() - 1;
    segments[1..last].iter_mut().filter(|text| text.is_empty()).for_each(|text| *text = EMPTY);
    segments.join("/").into()
}

fn values(params: &matchit::Params<'_, '_>) -> Vec<String> {
    params.iter().map(|(_, raw)| if raw == EMPTY { String::new() } else { raw.to_owned() }).collect()
}

fn decode(name: &str, raw: &str) -> Result<String> {
    let text = percent_decode_str(raw).decode_utf8();
    text.map(Cow::into_owned).map_err(|_| Error::invalid(name, "must be UTF-8 once percent-decoded"))
}

#[cfg(test)]
mod tests;
