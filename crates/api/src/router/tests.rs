use super::*;
use ootheca_model::ErrorKind;

fn found(method: &str, path: &str) -> (Op, Params) {
    match resolve(method, path).unwrap() {
        Resolved::Found { operation, params } => (operation.op, params),
        other => panic!("{method} {path}: {other:?}"),
    }
}

#[test]
fn every_row_is_resolved_by_its_path() {
    for row in &TABLE {
        let path = row.path.replace('{', "a%7B").replace('}', "%7D");
        let (op, params) = found(row.method.name(), &path);
        assert_eq!(op, row.op, "{path}");
        let expected: Vec<_> = row.path_params().map(|name| (name, format!("a{{{name}}}"))).collect();
        assert_eq!(params, Params(expected), "{}", row.name);
    }
}

#[test]
fn an_empty_segment_is_an_empty_parameter() {
    let (op, params) = found("POST", "/api/v1/roles/u1/ORGANIZATION//ORG_ADMIN");
    assert_eq!(op, Op::AddUserToRole);
    let all: Vec<_> = params.iter().collect();
    let expected = [
        ("user_id", "u1"),
        ("resource_type", "ORGANIZATION"),
        ("resource_id", ""),
        ("role_name", "ORG_ADMIN"),
    ];
    assert_eq!(all, expected);
    assert_eq!(found("DELETE", "/api/v1/roles/u1/ORGANIZATION//ORG_ADMIN").0, Op::RemoveUserFromRole);
    assert_eq!(found("GET", "/api/v1/clusters//nodes").1.get("cluster_id"), Some(""));
}

#[test]
fn a_role_path_can_omit_the_organization() {
    let (op, params) = found("DELETE", "/api/v1/roles/u1/ORGANIZATION/ORG_ADMIN");
    assert_eq!(op, Op::RemoveUserFromRole);
    assert_eq!(params.get("role_name"), Some("ORG_ADMIN"));
    assert_eq!(params.value::<String>("resource_id").unwrap(), "");
}

#[test]
fn parameters_are_decoded_after_matching() {
    let (op, params) = found("DELETE", "/api/v1/clusters/c/sql-users/a%2Fb%20c%3Fd%25e%23%C3%A9+f");
    assert_eq!((op, params.get("name")), (Op::DeleteSQLUser, Some("a/b c?d%e#é+f")));
    let error = resolve("DELETE", "/api/v1/clusters/c/sql-users/%FF").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("name: must be UTF-8"), "{error}");
}

#[test]
fn fixed_segments_take_precedence_over_parameters() {
    assert_eq!(found("GET", "/api/v1/clusters/available-regions").0, Op::ListAvailableRegions);
    assert_eq!(found("GET", "/api/v1/clusters/available-regionsx").0, Op::GetCluster);
    assert_eq!(found("POST", "/api/scim/v2/Users/.search").0, Op::SearchUsers);
}

#[test]
fn a_path_position_can_have_two_parameter_names() {
    let path = "/api/v1/clusters/c1/restores";
    assert_eq!(found("GET", path).1.get("cluster_id"), Some("c1"));
    assert_eq!(found("POST", path).1.get("destination_cluster_id"), Some("c1"));
}

#[test]
fn unknown_methods_and_paths_are_distinguished() {
    match resolve("HEAD", "/api/v1/clusters/c1").unwrap() {
        Resolved::MethodNotAllowed { allow } => assert_eq!(allow, "GET, PATCH, DELETE"),
        other => panic!("{other:?}"),
    }
    for path in [
        "/",
        "",
        "/api/v1",
        "/api/v1/clusters/",
        "/api/v1/clusters/a/b",
        "/api/v2/clusters",
        "//",
        "/api//v1/clusters",
    ] {
        assert!(matches!(resolve("GET", path).unwrap(), Resolved::NotFound), "{path}");
    }
}
