use super::*;
use crate::wire::AuditLogAction;
use std::collections::BTreeSet;

#[test]
fn every_row_is_unique_and_in_order() {
    for (place, row) in TABLE.iter().enumerate() {
        assert_eq!(row.op as usize, place, "{}", row.name);
        assert_eq!(operation(row.op).name, row.name);
    }
    let names: BTreeSet<_> = TABLE.iter().map(|row| row.name).collect();
    let places: BTreeSet<_> = TABLE.iter().map(|row| (row.method, row.path)).collect();
    assert_eq!((names.len(), places.len()), (162, 162));
    assert_eq!(TABLE.iter().filter(|row| !row.is_extension()).count(), 144);
}

#[test]
fn implemented_rows_have_distinct_handlers() {
    let built: Vec<_> = TABLE.iter().filter(|row| row.implemented).collect();
    let handlers: BTreeSet<_> = built.iter().map(|row| row.handler).collect();
    assert_eq!(handlers.len(), built.len());
    assert!(TABLE.iter().all(|row| row.implemented != row.handler.is_empty()));
}

#[test]
fn scopes_name_a_path_parameter() {
    for row in &TABLE {
        if let Scope::Cluster(parameter) = row.scope {
            assert!(row.path_params().any(|name| name == parameter), "{}: {parameter}", row.name);
        }
        let on_cluster = row.path_params().any(|name| name.ends_with("cluster_id"));
        assert_eq!(on_cluster, matches!(row.scope, Scope::Cluster(_)), "{}", row.name);
        if let Scope::Folder(parameter) = row.scope {
            assert!(row.path_params().any(|name| name == parameter), "{}: {parameter}", row.name);
        }
    }
    assert_eq!(operation(Op::CreateRestore).scope, Scope::Cluster("destination_cluster_id"));
}

#[test]
fn changes_have_an_action_and_reads_have_none() {
    for row in &TABLE {
        let search = row.path.ends_with("/.search");
        assert_eq!(row.audit.is_some(), row.method != Method::Get && !search, "{}", row.name);
        if let Some(action) = row.audit {
            assert!(AuditLogAction::WORDS.contains(&action), "{}: {action}", row.name);
        }
    }
    let official = TABLE.iter().filter(|row| !row.is_extension());
    assert_eq!(official.filter(|row| row.audit.is_some()).count(), 76);
}

#[test]
fn only_writing_methods_take_a_body() {
    for row in &TABLE {
        assert!(!row.has_body || !matches!(row.method, Method::Get | Method::Delete), "{}", row.name);
    }
    assert!(!operation(Op::AddUserToRole).has_body);
}

#[test]
fn a_row_names_each_role_once() {
    for row in &TABLE {
        if let Requirement::Roles(roles) = row.requirement {
            let set: BTreeSet<_> = roles.iter().collect();
            assert!(!set.is_empty() && set.len() == roles.len(), "{}", row.name);
        }
    }
}

#[test]
fn extensions_have_paths_that_the_official_api_does_not_use() {
    for row in &TABLE {
        let own = row.path.starts_with("/api/ootheca/v1/") || row.op == Op::WatchEvents;
        assert_eq!(row.is_extension(), own, "{}", row.name);
    }
}
