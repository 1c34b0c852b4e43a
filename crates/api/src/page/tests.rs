use super::*;
use proptest::prelude::*;

const KEY: [u8; 32] = [7; 32];
const NOW: Timestamp = Timestamp(1_000_000);

fn token() -> PageToken {
    PageToken {
        value: "alpha".to_owned(),
        id: "1".to_owned(),
        backward: false,
        as_of: Timestamp(5),
        order: SortOrder::Desc,
        filters: fingerprint("ListClusters", ["a"]),
    }
}

fn read(query: PageQuery, filters: &str) -> Result<PageRequest> {
    PageRequest::read(&query, &KEY, filters, SortOrder::Asc, NOW)
}

fn limit(limit: i32) -> Result<PageRequest> {
    read(PageQuery { limit: Some(limit), ..PageQuery::default() }, "")
}

proptest! {
    #[test]
    fn a_token_round_trips(
        value: String, id: String, backward: bool, as_of: i64, descending: bool, filters: String, key: [u8; 32],
    ) {
        let order = if descending { SortOrder::Desc } else { SortOrder::Asc };
        let token = PageToken { value, id, backward, as_of: Timestamp(as_of), order, filters };
        prop_assert_eq!(PageToken::decode(&token.encode(&key), &key).unwrap(), token);
    }

    #[test]
    fn a_changed_token_is_refused(place: prop::sample::Index, bit in 0..8u8, value: String) {
        let text = PageToken { value, ..token() }.encode(&KEY);
        let mut bytes = BASE64.decode(&text).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(PageToken::decode(&BASE64.encode(bytes), &KEY).is_err());
        prop_assert!(PageToken::decode(&text[..text.len() - 1], &KEY).is_err());
    }

    #[test]
    fn invalid_tokens_are_refused(text: String) {
        prop_assert!(PageToken::decode(&text, &KEY).is_err());
    }
}

#[test]
fn limits_are_clamped() {
    assert_eq!(limit(0).unwrap().limit, LIMIT);
    assert_eq!(limit(3).unwrap().limit, 3);
    assert_eq!(limit(i32::MAX).unwrap().limit, LIMIT);
    assert_eq!(limit(-1).unwrap_err().message(), "invalid argument: pagination.limit: must not be negative");
}

#[test]
fn an_empty_token_is_the_first_page() {
    let first = read(PageQuery { page: Some(String::new()), ..PageQuery::default() }, "").unwrap();
    assert_eq!(first, PageRequest { token: None, limit: LIMIT, order: SortOrder::Asc, as_of: NOW });
}

#[test]
fn a_token_contains_the_parameters_of_the_list() {
    let (token, filters) = (token(), fingerprint("ListClusters", ["a"]));
    let query = PageQuery { page: Some(token.encode(&KEY)), ..PageQuery::default() };
    let request = read(query.clone(), &filters).unwrap();
    assert_eq!((request.order, request.as_of, request.token), (SortOrder::Desc, Timestamp(5), Some(token)));

    let asked = |query: PageQuery, filters: &str| read(query, filters).unwrap_err().message().to_owned();
    let others = [
        fingerprint("ListClusters", ["b"]),
        fingerprint("ListFolders", ["a"]),
        fingerprint("ListClusters", []),
    ];
    for filters in others {
        assert!(asked(query.clone(), &filters).starts_with("invalid argument: pagination.page: "));
    }
    let turned = PageQuery { sort_order: Some(SortOrder::Asc), ..query.clone() };
    assert!(asked(turned, &filters).contains("other parameters"));
    let later = PageQuery { as_of_time: Some(NOW), ..query };
    assert!(asked(later, &filters).contains("other parameters"));
}

#[test]
fn fingerprints_distinguish_filters() {
    assert_ne!(fingerprint("a", ["bc", ""]), fingerprint("a", ["b", "c"]));
    assert_ne!(fingerprint("a", ["b"]), fingerprint("ab", []));
}
