use super::*;
use std::collections::BTreeSet;

#[test]
fn every_operation_is_described() {
    let document = document("http://localhost:8080");
    for row in &TABLE {
        let operation = &document["paths"][row.path][row.method.name().to_ascii_lowercase()];
        assert_eq!(operation["operationId"], row.name);
        assert_eq!(operation["x-unimplemented"] == true, !row.implemented, "{}", row.name);
        assert_eq!(operation["responses"]["200"].is_object(), row.implemented, "{}", row.name);
        assert_eq!(operation["requestBody"].is_object(), row.implemented && row.has_body, "{}", row.name);
        let parameters = operation["parameters"].as_array().unwrap();
        let named = |parameter: &&Value| parameter["in"] == "path";
        let names: BTreeSet<_> =
            parameters.iter().filter(named).map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, row.path_params().collect(), "{}", row.name);
    }
}

#[test]
fn every_reference_resolves() {
    fn walk(document: &Value, node: &Value) {
        match node {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                members.values().for_each(|member| walk(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            _ => {}
        }
    }
    let document = document("http://localhost:8080");
    walk(&document, &document);
}

#[test]
fn schemas_match_the_wire_types() {
    let document = document("http://localhost:8080");
    let schemas = &document["components"]["schemas"];
    let required = |name: &str| schemas[name]["required"].to_string();
    assert!(required("Cluster").contains("\"labels\"") && !required("Cluster").contains("deleted_at"));
    assert_eq!(schemas["UsageLimits"]["properties"]["storage_mib_limit"]["format"], "int64");
    assert_eq!(schemas["KeysetPaginationResponse"]["properties"].as_object().unwrap().len(), 2);
}
