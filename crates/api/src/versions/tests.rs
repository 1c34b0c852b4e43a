use super::*;
use serde_json::json;

fn page(next: Option<&str>, place: Option<(usize, usize)>) -> Page {
    Page {
        next: next.map(str::to_owned),
        previous: None,
        limit: 2,
        as_of: "2022-03-14T14:15:22Z".parse().unwrap(),
        order: SortOrder::Asc,
        place,
    }
}

fn shown(version: Version, op: Op, page: Page) -> Value {
    serde_json::to_value(version.pagination(op, page)).unwrap()
}

#[test]
fn the_header_chooses() {
    assert_eq!(Version::from_header(None).unwrap(), Version::V2022_03_31);
    assert_eq!(Version::from_header(Some("latest")).unwrap(), Version::V2024_09_16);
    for version in Version::ALL {
        assert_eq!(Version::from_header(Some(version.header())).unwrap(), version);
    }
    for text in ["", "2022-07-12", "2024-9-16", "LATEST", "2026-09-15"] {
        let error = Version::from_header(Some(text)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "invalid Cc-Version"), "{text}");
    }
}

#[test]
fn the_default_dialect_answers_patch_and_delete_with_nothing() {
    let body = br#"{"id":"x"}"#.to_vec();
    for op in [Op::UpdateCluster, Op::DeleteCluster] {
        assert!(Version::V2022_03_31.render(op, body.clone()).is_empty());
        assert_eq!(Version::V2022_09_20.render(op, body.clone()), body);
        assert_eq!(Version::V2024_09_16.render(op, body.clone()), body);
    }
    assert_eq!(Version::V2022_03_31.render(Op::GetCluster, body.clone()), body);
    assert_eq!(Version::V2022_03_31.render(Op::DeleteSQLUser, body.clone()), body);
}

#[test]
fn the_default_dialect_names_regions() {
    let body = json!({ "regions": [{ "name": "a", "distance": 0.0 }, { "name": "b" }], "pagination": {} });
    let rendered = Version::V2022_03_31.render(Op::ListAvailableRegions, body.to_string().into_bytes());
    let rendered: Value = serde_json::from_slice(&rendered).unwrap();
    assert_eq!(rendered, json!({ "regions": ["a", "b"], "pagination": {} }));
}

#[test]
fn nodes_have_the_pagination_of_the_page() {
    let expected = json!({
        "next": 0, "last": 0, "limit": 2, "total_results": 1, "time": "2022-03-14T14:15:22.000000Z", "order": "ASC",
        "next_page": "", "previous_page": "",
    });
    assert_eq!(shown(Version::default(), Op::ListClusterNodes, page(None, Some((0, 1)))), expected);
    let second = shown(Version::default(), Op::ListClusterNodes, page(Some("t"), Some((2, 9))));
    assert_eq!((&second["next"], &second["last"], &second["next_page"]), (&json!(4), &json!(0), &json!("t")));
}

#[test]
fn other_lists_have_older_members_beside_the_newer_ones() {
    let shown_default = shown(Version::default(), Op::ListClusters, page(Some("t"), None));
    let expected = json!({
        "next": "t", "last": "", "limit": 2, "time": "2022-03-14T14:15:22.000000Z", "order": "ASC",
        "next_page": "t", "previous_page": "",
    });
    assert_eq!(shown_default, expected);
    let newer = shown(Version::V2024_09_16, Op::ListClusters, page(Some("t"), None));
    assert_eq!(newer, json!({ "next_page": "t", "previous_page": "" }));
}
