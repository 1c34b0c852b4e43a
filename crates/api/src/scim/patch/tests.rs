use super::{NO_TARGET, READ_ONLY, Verb, apply};
use ootheca_model::Result;
use proptest::prelude::*;
use serde_json::{Value, json};

fn user() -> Value {
    json!({
        "id": "1",
        "userName": "ada",
        "name": { "givenName": "Ada" },
        "emails": [
            { "type": "work", "value": "ada@example.com", "primary": true },
            { "type": "home", "value": "ada@home.example.org" },
        ],
    })
}

fn patched(mut resource: Value, verb: &str, path: Option<&str>, value: Value) -> Result<Value> {
    apply(resource.as_object_mut().unwrap(), Verb::parse(verb)?, path, value)?;
    Ok(resource)
}

#[track_caller]
fn check(verb: &str, path: &str, value: Value, pointer: &str, expected: Value) {
    let after = patched(user(), verb, Some(path), value).unwrap();
    assert_eq!(after.pointer(pointer).cloned().unwrap_or_default(), expected, "{verb} {path}: {after}");
}

#[test]
fn simple_attributes_are_set_and_removed() {
    check("replace", "userName", json!("bob"), "/userName", json!("bob"));
    check("Add", "USERNAME", json!("bob"), "/userName", json!("bob"));
    check("remove", "userName", Value::Null, "/userName", Value::Null);
    check("replace", "userName", Value::Null, "/userName", Value::Null);
    let urn = "urn:ietf:params:scim:schemas:core:2.0:User:name.familyName";
    check("add", urn, json!("Lovelace"), "/name", json!({ "givenName": "Ada", "familyName": "Lovelace" }));
    check(
        "replace",
        "name",
        json!({ "familyName": "L" }),
        "/name",
        json!({ "givenName": "Ada", "familyName": "L" }),
    );
    check("remove", "name.givenName", Value::Null, "/name", json!({}));
    check("remove", "name", Value::Null, "/name", Value::Null);
}

#[test]
fn lists_have_no_duplicates_and_one_primary() {
    let new = json!([{ "value": "new@example.com", "primary": true }, { "value": "ada@home.example.org", "type": "other" }]);
    let after = patched(user(), "add", Some("emails"), new).unwrap();
    let expected = json!([
        { "type": "work", "value": "ada@example.com" },
        { "type": "other", "value": "ada@home.example.org" },
        { "value": "new@example.com", "primary": true },
    ]);
    assert_eq!(after["emails"], expected);
    check("replace", "emails", json!({ "value": "x@y.z" }), "/emails", json!([{ "value": "x@y.z" }]));
    check("remove", "emails", json!([{ "value": "ada@example.com" }]), "/emails/0/type", json!("home"));
    check("remove", "emails", Value::Null, "/emails", Value::Null);
    let group = json!({ "displayName": "all" });
    let after = patched(group, "add", Some("members"), json!([{ "value": "7" }])).unwrap();
    assert_eq!(after["members"], json!([{ "value": "7" }]));
}

#[test]
fn only_named_items_are_removed() {
    let group = json!({ "members": [{ "value": "1" }, { "value": "2" }, { "value": "3" }] });
    for (value, left) in [
        (json!({ "value": "1" }), vec!["2", "3"]),
        (json!([{ "value": "1" }, { "value": "3" }]), vec!["2"]),
        (json!("2"), vec!["1", "3"]),
        (json!({ "value": "4" }), vec!["1", "2", "3"]),
        (json!([]), vec!["1", "2", "3"]),
    ] {
        let after = patched(group.clone(), "remove", Some("members"), value.clone()).unwrap();
        let found: Vec<_> = after["members"].as_array().unwrap().iter().map(|item| &item["value"]).collect();
        assert_eq!(found, left, "{value}");
    }
    let after = patched(group.clone(), "remove", Some("members"), Value::Null).unwrap();
    assert_eq!(after, json!({}));
    for nameless in [json!({}), json!([{ "display": "Ada" }]), json!([null])] {
        let error = patched(group.clone(), "remove", Some("members"), nameless).unwrap_err();
        assert!(error.message().contains("value: must contain the value of each item"), "{error:?}");
    }
}

#[test]
fn items_are_found_by_filters() {
    check("replace", "emails[type eq \"work\"].value", json!("new@x.y"), "/emails/0/value", json!("new@x.y"));
    check("replace", "emails[type eq \"work\"]", json!({ "display": "d" }), "/emails/0/display", json!("d"));
    check("remove", "emails[type eq \"work\"]", Value::Null, "/emails/0/type", json!("home"));
    check("remove", "emails[value ew \".org\"].type", Value::Null, "/emails/1/type", Value::Null);
    check("remove", "emails[type eq \"none\"]", Value::Null, "/emails/0/type", json!("work"));
    let added = json!({ "type": "other", "value": "o@x.y" });
    check("add", "emails[type eq \"other\"].value", json!("o@x.y"), "/emails/2", added);
    let error = patched(user(), "replace", Some("emails[type eq \"other\"].value"), json!("x")).unwrap_err();
    assert!(error.message().contains(NO_TARGET), "{error:?}");
    assert!(patched(user(), "replace", Some("emails[type eq \"work\"]"), json!("x")).is_err());
}

#[test]
fn without_a_path_the_value_names_the_attributes() {
    let value = json!({ "userName": "bob", "name.familyName": "B", "id": "2", "schemas": ["x"] });
    let after = patched(user(), "replace", None, value).unwrap();
    assert_eq!((&after["userName"], &after["id"]), (&json!("bob"), &json!("1")));
    assert_eq!(after["name"], json!({ "givenName": "Ada", "familyName": "B" }));
    let work = "emails[type eq \"work\"].value";
    for verb in ["add", "replace"] {
        let value = json!({ work: "new@example.com", "name.familyName": "B", "Emails[type eq \"home\"]": { "display": "d" } });
        let after = patched(user(), verb, None, value).unwrap();
        assert_eq!(after["emails"][0]["value"], "new@example.com");
        assert_eq!(
            (&after["emails"][1]["display"], &after["name"]["familyName"]),
            (&json!("d"), &json!("B"))
        );
    }
    let fax = |verb, name: &str| patched(user(), verb, None, json!({ name: "x@y.z" }));
    assert_eq!(fax("add", "emails[type eq \"fax\"].value").unwrap()["emails"][2]["type"], "fax");
    let missing = fax("replace", "emails[type eq \"fax\"].value").unwrap_err();
    assert!(missing.message().contains(NO_TARGET), "{missing:?}");
    assert!(fax("add", "emails[type eq").unwrap_err().message().contains("path"));
    assert_eq!(fax("replace", "addresses[type eq \"work\"].locality").unwrap(), user(), "not kept");
    assert_eq!(fax("replace", "groups[value eq \"1\"].display").unwrap(), user(), "set by the server");
    assert!(patched(user(), "replace", None, json!("bob")).is_err());
    assert!(patched(user(), "add", None, Value::Null).is_err());
    assert!(patched(user(), "remove", None, Value::Null).unwrap_err().message().contains(NO_TARGET));
}

#[test]
fn invalid_operations_return_errors() {
    for (path, part) in [
        ("id", READ_ONLY),
        ("meta.created", READ_ONLY),
        ("groups", READ_ONLY),
        ("emails[type eq", "a text in double quotes"),
        ("emails[type pr]x", "the end of the path"),
        ("name.givenName[x pr]", "before"),
        ("[x pr]", "the name of an attribute"),
        ("userName.x", "nothing within"),
    ] {
        let error = patched(user(), "replace", Some(path), json!("x")).unwrap_err();
        assert!(error.message().contains(part), "{path}: {}", error.message());
    }
    assert!(Verb::parse("move").is_err());
}

proptest! {
    #[test]
    fn patches_never_panic(
        verb in "add|replace|remove",
        path in r#"(emails|name|userName|\.|\[|\]|type eq "work"|value|:|é| |members|not \(){0,6}"#,
        kind in 0..5,
    ) {
        let value = [json!("x"), json!([1, {}]), json!({ "value": "y" }), Value::Null, json!([[], null])];
        let _ = patched(user(), &verb, Some(&path), value[kind as usize].clone());
    }

    #[test]
    fn adding_is_idempotent(value in "[a-c]@x", kind in "work|home") {
        let item = json!([{ "value": value, "type": kind, "primary": true }]);
        let once = patched(user(), "add", Some("emails"), item.clone()).unwrap();
        prop_assert_eq!(patched(once.clone(), "add", Some("emails"), item).unwrap(), once);
    }
}
