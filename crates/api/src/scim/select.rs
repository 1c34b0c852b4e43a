//! Selects the attributes of a resource that a response contains.

use super::filter::Attribute;
use serde_json::{Map, Value};

/// The attributes that a request includes or excludes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    only: Vec<Attribute>,
    without: Vec<Attribute>,
}

/// Attributes that are always returned.
const ALWAYS: [&str; 2] = ["schemas", "id"];

impl Selection {
    /// Parses the two lists of comma-separated names. An empty list is the same as none.
    pub fn read(attributes: Option<&str>, excluded: Option<&str>) -> Self {
        let names = |list: Option<&str>| {
            let names = list.unwrap_or_default().split(',').map(str::trim);
            names.filter(|name| !name.is_empty()).map(Attribute::read).collect()
        };
        Self { only: names(attributes), without: names(excluded) }
    }

    /// Removes the attributes that the request did not ask for.
    pub fn apply(&self, mut resource: Value) -> Value {
        if let Some(members) = resource.as_object_mut() {
            if !self.only.is_empty() {
                keep(members, &self.only);
            }
            self.without.iter().for_each(|attribute| leave_out(members, attribute));
        }
        resource
    }
}

fn keep(members: &mut Map<String, Value>, only: &[Attribute]) {
    members.retain(|name, value| {
        if ALWAYS.contains(&name.as_str()) {
            return true;
        }
        let wanted: Vec<&Attribute> = only.iter().filter(|attribute| attribute.name == *name).collect();
        if wanted.iter().all(|attribute| attribute.sub.is_some()) {
            let subs: Vec<&str> = wanted.iter().filter_map(|attribute| attribute.sub.as_deref()).collect();
            each(value, &|item| item.retain(|name, _| subs.contains(&name.as_str())));
        }
        !wanted.is_empty()
    });
}

fn leave_out(members: &mut Map<String, Value>, attribute: &Attribute) {
    if ALWAYS.contains(&attribute.name.as_str()) {
        return;
    }
    match (&attribute.sub, members.get_mut(&attribute.name)) {
        (Some(sub), Some(value)) => each(value, &|item| {
            item.remove(sub);
        }),
        (None, Some(_)) => {
            members.remove(&attribute.name);
        }
        (_, None) => {}
    }
}

/// Calls `change` with an object, or with each object of a list.
fn each(value: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => change(members),
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selected(attributes: &str, excluded: &str) -> Value {
        let user = json!({
            "schemas": ["s"], "id": "1", "userName": "ada",
            "name": { "givenName": "Ada", "familyName": "Lovelace" },
            "emails": [{ "value": "ada@example.com", "type": "work" }],
        });
        Selection::read(Some(attributes), Some(excluded)).apply(user)
    }

    #[test]
    fn chosen_attributes_are_shown_with_schemas_and_id() {
        assert_eq!(selected("USERNAME", ""), json!({ "schemas": ["s"], "id": "1", "userName": "ada" }));
        let some = json!({ "schemas": ["s"], "id": "1", "name": { "familyName": "Lovelace" }, "emails": [{ "type": "work" }] });
        assert_eq!(
            selected("urn:ietf:params:scim:schemas:core:2.0:User:name.familyname, emails.type,,x", ""),
            some
        );
    }

    #[test]
    fn excluded_attributes_are_omitted_except_for_the_id() {
        let rest = selected("", "name,emails.value,id,schemas,nothing.there");
        let expected =
            json!({ "schemas": ["s"], "id": "1", "userName": "ada", "emails": [{ "type": "work" }] });
        assert_eq!(rest, expected);
        assert_eq!(selected("", ""), selected("", "x"));
    }
}
