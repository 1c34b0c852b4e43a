use super::*;
use crate::wire::*;
use ootheca_model::{
    Timestamp,
    cluster::{ClusterSortBy, Plan, SortOrder},
};
use proptest::prelude::*;

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().message().to_owned()
}

fn create(text: &str) -> Result<CreateClusterRequest> {
    body(Version::V2024_09_16, Op::CreateCluster, text.as_bytes())
}

#[test]
fn pagination_is_read_from_dotted_names() {
    let read: ListClustersQuery =
        query("pagination.limit=7&pagination.page=abc&pagination.sort_by=CREATED_AT&show_inactive=true&x=1")
            .unwrap();
    assert_eq!((read.page.limit, read.page.page.as_deref()), (Some(7), Some("abc")));
    assert_eq!((read.sort_by, read.show_inactive), (Some(ClusterSortBy::CreatedAt), Some(true)));
}

#[test]
fn the_older_dialect_and_camel_case_are_equivalent() {
    let newer = "pagination.page=p&pagination.as_of_time=2026-01-02T03:04:05Z&pagination.sort_order=DESC";
    let expected: PageQuery = query(newer).unwrap();
    assert_eq!(expected.as_of_time, Some("2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap()));
    assert_eq!(expected.sort_order, Some(SortOrder::Desc));
    let older = "pagination.start_key=p&pagination.time=2026-01-02T03%3A04%3A05Z&pagination.order=DESC&pagination.direction=PAGE_DIRECTION_LAST";
    assert_eq!(query::<PageQuery>(older).unwrap(), expected);
    let camel = "pagination.page=p&pagination.asOfTime=2026-01-02T03:04:05Z&pagination.sortOrder=DESC";
    assert_eq!(query::<PageQuery>(camel).unwrap(), expected);
}

#[test]
fn errors_of_the_query_name_the_parameter() {
    assert!(
        message(query::<PageQuery>("pagination.limit=x"))
            .contains("pagination.limit: must be a 32-bit integer")
    );
    assert!(message(query::<PageQuery>("pagination.sort_order=UP")).contains("must be one of ASC, DESC"));
    assert!(message(query::<PageQuery>("pagination.direction=UP")).contains("pagination.direction"));
    assert!(message(query::<PageQuery>("pagination.as_of_time=now")).contains("RFC 3339"));
    assert!(
        message(query::<ListAvailableRegionsQuery>("serverless=1"))
            .contains("serverless: must be true or false")
    );
}

#[test]
fn an_empty_parameter_is_absent_unless_it_is_a_text() {
    let read: PageQuery = query("pagination.limit=&pagination.page=").unwrap();
    assert_eq!((read.limit, read.page.as_deref()), (None, Some("")));
}

#[test]
fn path_parameters_have_types() {
    let params = |path: &str| match crate::router::resolve("DELETE", path).unwrap() {
        crate::router::Resolved::Found { params, .. } => params,
        other => panic!("{other:?}"),
    };
    let read: AllowlistEntryPath =
        path(&params("/api/v1/clusters/c/networking/allowlist/203.0.113.0/24")).unwrap();
    assert_eq!((read.cidr_ip.as_str(), read.cidr_mask), ("203.0.113.0", 24));
    let wrong = path::<AllowlistEntryPath>(&params("/api/v1/clusters/c/networking/allowlist/203.0.113.0/x"));
    assert!(message(wrong).contains("cidr_mask"));
}

#[test]
fn the_body_of_the_official_example_is_decoded() {
    let read = create(
        r#"{"name":"notorious-moose","provider":"GCP","plan":"STANDARD","spec":{"serverless":{"regions":["us-central1"],"usage_limits":{"provisioned_virtual_cpus":"2"}}}}"#,
    )
    .unwrap();
    let spec = read.spec.unwrap();
    assert_eq!(spec.plan, Some(Plan::Standard));
    assert_eq!(spec.serverless.unwrap().usage_limits.unwrap().provisioned_virtual_cpus, Some(Int64(2)));
}

#[test]
fn a_new_cluster_can_begin_with_data_of_another_one_in_every_version() {
    let time = "2026-11-30T12:00:00Z";
    let text = format!(
        r#"{{"name":"branch","restore_from":{{"backup_id":"b","point_in_time":"{time}"}},"expires_at":"{time}"}}"#
    );
    let time = Some(time.parse().unwrap());
    let backup_id = Some("b".to_owned());
    let restore_from = Some(RestoreFrom { backup_id, point_in_time: time, ..Default::default() });
    let name = Some("branch".to_owned());
    let expected = CreateClusterRequest { name, restore_from, expires_at: time, ..Default::default() };
    for version in Version::ALL {
        let read: CreateClusterRequest = body(version, Op::CreateCluster, text.as_bytes()).unwrap();
        assert_eq!(read, expected, "{version:?}");
    }
    let error = message(create(r#"{"restore_from":{"point_in_time":"now"}}"#));
    assert_eq!(error, "invalid argument: restore_from.point_in_time: must be an RFC 3339 time");
}

#[test]
fn body_errors_name_the_field_and_the_allowed_values() {
    let text = message(create(r#"{"spec":{"serverless":{"usage_limits":{"request_unit_limit":"x"}}}}"#));
    assert!(
        text.starts_with("invalid argument: spec.serverless.usage_limits.request_unit_limit: "),
        "{text}"
    );
    let text = message(create(r#"{"plan":"FREE"}"#));
    assert!(text.starts_with("invalid argument: spec.plan: ") && text.contains("ADVANCED"), "{text}");
    let text = message(create(r#"{"spec":{"serverless":{"regions":["a",2]}}}"#));
    assert!(text.contains("spec.serverless.regions[1]"), "{text}");
    assert!(message(create(r#"{"name":7}"#)).starts_with("invalid argument: name: "));
    assert!(message(create("{\"name\":")).starts_with("invalid argument: body: EOF"));
    assert_eq!(message(create("[]")), "invalid argument: body: must be a JSON object");
}

#[test]
fn a_password_is_never_in_an_error() {
    for op in [Op::CreateSQLUser, Op::UpdateSQLUserPassword] {
        let error = body::<CreateSQLUserRequest>(Version::V2024_09_16, op, br#"{"password":123456789012}"#)
            .err()
            .unwrap();
        assert_eq!(error.message(), "invalid argument: password: must be a string");
    }
}

#[test]
fn absent_null_and_unknown_members_are_accepted() {
    for text in ["", " \n", "null", "{}", r#"{"name":null,"spec":null,"cluster_id":7}"#] {
        assert_eq!(create(text).unwrap(), CreateClusterRequest::default(), "{text:?}");
    }
    let roles: SetRolesForUserRequest =
        body(Version::V2024_09_16, Op::SetRolesForUser, br#"{"roles":null}"#).unwrap();
    assert_eq!(roles.roles, None);
}

#[test]
fn an_operation_without_a_body_ignores_a_body() {
    body::<NoBody>(Version::V2024_09_16, Op::DeleteCluster, b"not json").unwrap();
}

#[test]
fn syntax_is_checked_without_decoding_members() {
    for text in ["", " ", "null", "{}", " {\"a\":[1,2]} \n"] {
        check_syntax(text.as_bytes()).unwrap();
    }
    for text in ["{", "[]", "1", "\"a\"", "{} x", "a=b"] {
        assert!(message(check_syntax(text.as_bytes())).starts_with("invalid argument: body: "), "{text}");
    }
}

proptest! {
    #[test]
    fn decoding_never_panics(text in ".{0,64}", raw in ".{0,64}") {
        let _ = create(&text);
        let _ = query::<ListClustersQuery>(&raw);
        let both = (check_syntax(text.as_bytes()).is_ok(), requests::parse(text.as_bytes()).is_ok());
        prop_assert_eq!(both.0, both.1);
    }
}
