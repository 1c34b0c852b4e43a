use super::{Attribute, Comparison, Filter, LONGEST};
use proptest::prelude::*;
use serde_json::{Value, json};

fn ada() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "2819c223",
        "externalId": "Ada-7",
        "userName": "ada@example.com",
        "name": { "familyName": "O'Malley", "givenName": "Ada" },
        "active": true,
        "emails": [
            { "type": "work", "value": "ada@example.com", "primary": true },
            { "type": "home", "value": "ada@home.example.org" },
        ],
        "meta": { "created": "2024-05-01T10:00:00.000000Z", "resourceType": "User" },
        "rank": 7,
    })
}

#[track_caller]
fn check(filter: &str, expected: bool) {
    let parsed = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(parsed.matches(&ada()), expected, "{filter}");
}

#[test]
fn comparisons() {
    for (filter, expected) in [
        (r#"userName eq "ADA@example.com""#, true),
        (r#"USERNAME Eq "ada@example.com""#, true),
        (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "AD""#, true),
        (r#"userName ne "bob""#, true),
        (r#"userName ne "ada@example.com""#, false),
        (r#"externalId eq "ada-7""#, false),
        (r#"externalId eq "Ada-7""#, true),
        (r#"name.familyName co "O'Malley""#, true),
        (r#"name.familyName ew "LEY""#, true),
        (r#"name.familyName eq "x""#, false),
        ("active eq true", true),
        ("active eq false", false),
        (r#"active eq "true""#, false),
        ("title pr", false),
        ("emails pr", true),
        ("title eq null", true),
        ("userName ne null", true),
        (r#"emails co "home.example""#, true),
        (r#"emails.value eq "ada@home.example.org""#, true),
        (r#"emails.type eq "other""#, false),
        (r#"meta.created gt "2024-05-01T09:59:59Z""#, true),
        (r#"meta.created ge "2024-05-01T12:00:00+02:00""#, true),
        (r#"meta.created lt "2024-05-01T10:00:00Z""#, false),
        (r#"meta.created le "2024-05-01T10:00:00Z""#, true),
        ("rank gt 6.5", true),
        ("rank le 6", false),
        (r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#, true),
        (r#"userName eq "a\"b\u00e9""#, false),
    ] {
        check(filter, expected);
    }
}

#[test]
fn logical_operators_have_precedence() {
    for (filter, expected) in [
        (r#"userName sw "ada" and active eq true"#, true),
        (r#"userName sw "bob" and active eq true or active eq true"#, true),
        (r#"userName sw "bob" and (active eq true or active eq true)"#, false),
        (r#"active eq true or active eq true and userName sw "bob""#, true),
        ("not (active eq true)", false),
        (r#"not(title pr) AND Not (userName eq "bob")"#, true),
        (r#"emails[type eq "work" and value co "@example.com"]"#, true),
        (r#"emails[type eq "home" and value co "@example.com"]"#, false),
        (r#"emails[not (type eq "work") and not (type eq "home")]"#, false),
        (r#"title pr or emails[type eq "home"]"#, true),
        (r#"emails[type eq "work"].value eq "ada@example.com""#, true),
        (r#"emails[type eq "home"].value eq "ada@example.com""#, false),
        (r#"emails[type eq "home"].VALUE ew "example.org" and active eq true"#, true),
        (r#"emails[type eq "work"].value ne "ada@home.example.org""#, true),
        (r#"emails[type eq "home"].value ne "ada@home.example.org""#, false),
        (r#"emails[type eq "other"].value ne "x""#, true),
        (r#"emails[type eq "work"].value pr"#, true),
        (r#"emails[type eq "work"].display pr"#, false),
        (r#"emails[type eq "work"].display eq null"#, true),
        (r#"emails[type eq "work"].value ne null"#, true),
        (r#"  ( ( active eq true ) )  "#, true),
    ] {
        check(filter, expected);
    }
}

#[test]
fn errors_describe_the_invalid_part() {
    for (filter, part) in [
        ("", "the name of an attribute expected at character 1"),
        ("userName", "one of eq, ne"),
        ("userName eq", "a text in double quotes"),
        ("userName eq ada", "a text in double quotes"),
        (r#"userName eq "ada"#, "a text in double quotes"),
        (r#"userName like "ada""#, "one of eq, ne"),
        ("userName eq [1]", "a text in double quotes"),
        ("active gt true", "gt cannot compare with true"),
        ("rank co 7", "co cannot compare with 7"),
        ("(active eq true", r#"")" expected at character 16"#),
        ("emails[type pr", r#""]" expected"#),
        ("active eq true)", r#""and", "or" or the end expected at character 15"#),
        ("active eq true and", "the name of an attribute"),
        ("not active eq true", r#""(" expected"#),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert!(error.message().contains(part), "{filter}: {}", error.message());
        assert!(error.message().starts_with("invalid argument: filter: "), "{}", error.message());
    }
    assert!(Filter::parse(&format!("{}active pr{}", "(".repeat(32), ")".repeat(32))).is_ok());
    assert!(Filter::parse(&format!("{}active pr{}", "(".repeat(33), ")".repeat(33))).is_err());
    assert!(Filter::parse(&"(".repeat(5000)).is_err());
    assert!(Filter::parse(&"x".repeat(9000)).is_err());
}

fn shown(filter: &Filter) -> String {
    let name = |attribute: &Attribute| match &attribute.sub {
        Some(sub) => format!("{}.{sub}", attribute.name),
        None => attribute.name.clone(),
    };
    let join = |parts: &[Filter], word: &str| {
        parts.iter().map(|part| format!("({})", shown(part))).collect::<Vec<_>>().join(word)
    };
    match filter {
        Filter::And(parts) => join(parts, " and "),
        Filter::Or(parts) => join(parts, " or "),
        Filter::Not(part) => format!("not ({})", shown(part)),
        Filter::Present(attribute) => format!("{} pr", name(attribute)),
        Filter::Within(attribute, part) => format!("{}[{}]", name(attribute), shown(part)),
        Filter::Compare(attribute, comparison, wanted) => {
            let word = match comparison {
                Comparison::Equal => "eq",
                Comparison::NotEqual => "ne",
                Comparison::Contains => "co",
                Comparison::StartsWith => "sw",
                Comparison::EndsWith => "ew",
                Comparison::Greater => "gt",
                Comparison::GreaterOrEqual => "ge",
                Comparison::Less => "lt",
                Comparison::LessOrEqual => "le",
            };
            format!("{} {word} {wanted}", name(attribute))
        }
    }
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let sub = proptest::option::of("z[a-z]{1,6}");
    ("z[a-zA-Z0-9]{0,8}", sub).prop_map(|(name, sub)| Attribute { name, sub })
}

fn filters() -> impl Strategy<Value = Filter> {
    let comparison = prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        Just(Comparison::Contains),
        Just(Comparison::EndsWith),
        Just(Comparison::Less),
        Just(Comparison::GreaterOrEqual),
    ];
    let leaf = prop_oneof![
        attribute().prop_map(Filter::Present),
        (attribute(), comparison, any::<String>()).prop_map(|(attribute, how, text)| Filter::Compare(
            attribute,
            how,
            text.into()
        )),
        (attribute(), any::<i32>()).prop_map(|(attribute, number)| Filter::Compare(
            attribute,
            Comparison::Equal,
            number.into()
        )),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.clone().prop_map(|part| Filter::Not(Box::new(part))),
            (attribute(), inner).prop_map(|(attribute, part)| Filter::Within(attribute, Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_round_trips(filter in filters()) {
        let text = shown(&filter);
        prop_assume!(text.len() <= LONGEST);
        prop_assert_eq!(Filter::parse(&text).unwrap(), filter);
    }

    #[test]
    fn not_negates(filter in filters()) {
        let opposite = Filter::Not(Box::new(filter.clone()));
        prop_assert_ne!(filter.matches(&ada()), opposite.matches(&ada()));
    }

    #[test]
    fn parsing_never_panics(text in any::<String>()) {
        if let Ok(filter) = Filter::parse(&text) {
            filter.matches(&ada());
        }
    }

    #[test]
    fn parsing_of_almost_valid_filters_never_panics(
        text in r#"((userName|emails|name\.|not|and|or|eq|pr|co|\(|\)|\[|\]|"|"a"|7|-|true|\\|é|\.|:) ?){0,14}"#
    ) {
        if let Ok(filter) = Filter::parse(&text) {
            filter.matches(&ada());
        }
    }
}
