use super::*;
use proptest::prelude::*;
use uuid::Uuid;

fn issuer(map: &[(&str, &str)]) -> JwtIssuer {
    let entry = |(token, cc): &(&str, &str)| IdentityMapEntry {
        token_identity: (*token).to_owned(),
        cc_identity: (*cc).to_owned(),
    };
    JwtIssuer {
        organization: OrganizationId(Uuid::nil()),
        id: Uuid::nil().to_string(),
        issuer_url: "https://issuer.example.com".to_owned(),
        audience: "ootheca".to_owned(),
        claim: None,
        jwks: None,
        identity_map: map.iter().map(entry).collect(),
        created_at: Timestamp(0),
    }
}

#[test]
fn a_literal_matches_only_itself() {
    let issuer = issuer(&[("alice", "alice@example.com")]);
    assert_eq!(issuer.identities("alice"), ["alice@example.com"]);
    assert!(issuer.identities("alice2").is_empty());
    assert!(issuer.identities("Alice").is_empty());
}

#[test]
fn an_expression_inserts_its_first_group() {
    let issuer = issuer(&[(r"/^sso_(.*)$", r"\1@example.com")]);
    issuer.check().expect("a good map");
    assert_eq!(issuer.identities("sso_Bob"), ["bob@example.com"]);
    assert!(issuer.identities("bob").is_empty());
}

#[test]
fn an_identity_can_map_to_several_without_duplicates() {
    let issuer = issuer(&[("x", "a@b.c"), (r"/^(x)$", r"\1@b.c"), ("x", "A@B.C")]);
    assert_eq!(issuer.identities("x"), ["a@b.c", "x@b.c"]);
}

#[test]
fn without_a_map_identities_are_unchanged() {
    assert_eq!(issuer(&[]).identities("Alice@Example.com"), ["alice@example.com"]);
}

#[test]
fn errors_name_the_invalid_entry() {
    let cases = [
        ("/(", r"\1", "identity_map[0].token_identity: is not a valid regular expression"),
        ("/abc", r"\1", "identity_map[0].token_identity: must contain a group"),
        ("/(.*)", "fixed", r"identity_map[0].cc_identity: must contain \1"),
        ("", "x", "identity_map[0].token_identity: must have 1 to"),
        ("x", "", "identity_map[0].cc_identity: must have 1 to"),
        // A short expression that compiles to a large program.
        (r"/(\w{1000}){100}", r"\1", "identity_map[0].token_identity: is not a valid regular expression"),
    ];
    for (token, cc, message) in cases {
        let error = issuer(&[(token, cc)]).check().expect_err(token);
        assert!(error.message().contains(message), "{token}: {error}");
    }
}

#[test]
fn keys_are_fetched_with_tls_or_from_this_machine() {
    for good in
        ["https://a.example", "https://a.example:8443/tenant?x=1", "http://127.0.0.1:9/", "http://[::1]:9"]
    {
        check_url("url", good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for bad in [
        "",
        "a.example",
        "http://a.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "https://",
        "https://user@a.example",
        "file:///etc/passwd",
        "https://a b",
        "https://a.example/#x",
    ] {
        assert!(check_url("url", bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn an_anchored_expression_captures_exactly_the_rest(name in "[a-z0-9._]{1,20}") {
        let issuer = issuer(&[(r"/^sso_(.*)$", r"\1@example.com")]);
        prop_assert_eq!(issuer.identities(&format!("sso_{name}")), [format!("{name}@example.com")]);
    }

    #[test]
    fn no_identity_panics(identity in ".{0,50}", pattern in ".{0,20}", target in ".{0,20}") {
        issuer(&[(&format!("/{pattern}"), &target), (&pattern, &target)]).identities(&identity);
    }
}
