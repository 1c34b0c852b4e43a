use super::*;
use proptest::prelude::*;

fn startup(parameters: &[(&str, &str)]) -> StartupMessage {
    StartupMessage::new(parameters.iter().copied()).expect("valid parameters")
}

fn domains() -> Vec<String> {
    vec!["sql.test".to_owned()]
}

/// The result of routing as `id | database | options`, or the message of the error.
fn routed(parameters: &[(&str, &str)], server_name: Option<&str>) -> String {
    let mut startup = startup(parameters);
    match route(&mut startup, server_name, &domains()) {
        Ok(id) => {
            let show = |name| startup.get(name).map_or("-".into(), String::from_utf8_lossy);
            format!("{id} | {} | {}", show("database"), show("options"))
        }
        Err(error) => {
            let text = String::from_utf8_lossy(&error.encode()).into_owned();
            assert!(text.contains("\0C08004\0"), "{text}");
            text.split('\0').find_map(|field| field.strip_prefix('M')).expect("a message").to_owned()
        }
    }
}

fn options(options: &str) -> String {
    routed(&[("user", "ann"), ("options", options)], None)
}

fn database(database: &str) -> String {
    routed(&[("user", "ann"), ("database", database)], None)
}

const FAILED: &str = "codeParamsRoutingFailed";

#[test]
fn options_identify_the_cluster() {
    assert_eq!(options("--cluster=shop-12"), "shop-12 | - | -");
    assert_eq!(options("-c cluster=shop-12"), "shop-12 | - | -");
    assert_eq!(options("-ccluster=shop-12"), "shop-12 | - | -");
    assert_eq!(options("-c a=b --cluster=my-shop-12  -c c=d\\ e"), "my-shop-12 | - | -c a=b -c c=d\\ e");
    assert_eq!(options("-c"), format!("{FAILED}: missing cluster identifier"));
    assert_eq!(options("-c a=--cluster=shop-12"), format!("{FAILED}: missing cluster identifier"));
    assert_eq!(options("a\\ --cluster=shop-12"), format!("{FAILED}: missing cluster identifier"));
    assert_eq!(options("--clusters=shop-12"), format!("{FAILED}: missing cluster identifier"));
}

#[test]
fn invalid_cluster_flags_are_refused() {
    assert_eq!(options("--cluster="), format!("{FAILED}: invalid cluster flag"));
    assert_eq!(options("--cluster"), format!("{FAILED}: invalid cluster flag"));
    assert_eq!(options("-c cluster"), format!("{FAILED}: invalid cluster flag"));
    let twice = "--cluster=shop-12 -c cluster=shop-12";
    assert_eq!(options(twice), format!("{FAILED}: multiple cluster flags provided"));
    for bad in ["shop", "shop-", "-12", "shop-x", "Shop-12", "shop-12345678901", "sh op-1", "shop-+1"] {
        let text = options(&format!("--cluster={}", bad.replace(' ', "\\ ")));
        assert!(text.starts_with(&format!("{FAILED}: invalid cluster identifier '")), "{bad}: {text}");
    }
}

#[test]
fn a_database_prefix_identifies_the_cluster() {
    assert_eq!(database("shop-12.defaultdb"), "shop-12 | defaultdb | -");
    assert_eq!(database("shop-12.with.dots"), "shop-12 | with.dots | -");
    assert_eq!(database("shop-12."), format!("{FAILED}: invalid database param"));
    assert_eq!(database(".defaultdb"), format!("{FAILED}: invalid database param"));
    assert_eq!(database("shop.defaultdb"), format!("{FAILED}: invalid cluster identifier 'shop'"));
    assert_eq!(database("defaultdb"), format!("{FAILED}: missing cluster identifier"));
}

#[test]
fn options_and_database_must_agree() {
    let both = |flag, database| routed(&[("options", flag), ("database", database)], None);
    assert_eq!(both("--cluster=shop-12", "shop-12.a"), "shop-12 | a | -");
    assert_eq!(both("--cluster=shop-12", "with.dots"), "shop-12 | with.dots | -");
    let different = both("--cluster=shop-12", "shop-13.a");
    assert!(
        different.starts_with(&format!("{FAILED}: multiple different cluster identifiers")),
        "{different}"
    );
}

#[test]
fn a_server_name_identifies_the_cluster() {
    let named = |name| routed(&[("database", "a")], Some(name));
    assert_eq!(named("shop-12.localhost"), "shop-12 | a | -");
    assert_eq!(named("SHOP-12.Example.com"), "shop-12 | a | -");
    for name in ["localhost", "example.com", "host-12", "sql.example.com"] {
        assert_eq!(named(name), format!("{FAILED}: missing cluster identifier"), "{name}");
    }
    let overruled = routed(&[("options", "--cluster=shop-12")], Some("other-13.localhost"));
    assert_eq!(overruled, "shop-12 | - | -");
    let dotted = routed(&[("database", "with.dots")], Some("shop-12.localhost"));
    assert_eq!(dotted, "shop-12 | with.dots | -");
}

#[test]
fn other_options_are_unchanged() {
    let mut startup = startup(&[("options", "-c  a=b"), ("database", "shop-12.a")]);
    assert_eq!(route(&mut startup, None, &domains()).expect("a route"), "shop-12");
    assert_eq!(startup.get("options"), Some(&b"-c  a=b"[..]));
}

proptest! {
    #[test]
    fn never_panics(options in "[-c= \\\\a-z0-9.]{0,40}", database in "\\PC{0,20}", name in proptest::option::of("\\PC{0,20}")) {
        let mut startup = startup(&[("options", &options), ("database", &database)]);
        let _ = route(&mut startup, name.as_deref(), &domains());
    }

    #[test]
    fn the_cluster_flag_is_removed_from_other_options(before in "(-c [a-b]=[x-z] ){0,3}", after in "( -c [a-b]=[x-z]){0,3}") {
        let mut startup = startup(&[("options", &format!("{before}--cluster=shop-12{after}"))]);
        prop_assert_eq!(route(&mut startup, None, &domains()).expect("a route"), "shop-12");
        let rest = format!("{}{after}", before.trim_end());
        prop_assert_eq!(String::from_utf8_lossy(startup.get("options").unwrap_or_default()), rest.trim());
    }
}

#[test]
fn a_server_name_below_a_domain_must_agree() {
    let flag = ("options", "--cluster=shop-12");
    let both = "multiple different cluster identifiers provided: 'shop-12' in the";
    for name in ["other-3.sql.test", "OTHER-3.Sql.Test."] {
        assert_eq!(
            routed(&[flag, ("database", "db")], Some(name)),
            format!("codeParamsRoutingFailed: {both} options, 'other-3' in the server name")
        );
        assert_eq!(
            routed(&[("database", "shop-12.db")], Some(name)),
            format!("codeParamsRoutingFailed: {both} database, 'other-3' in the server name")
        );
    }
    for name in ["shop-12.sql.test", "other-3.example.com", "sql.test", "a.other-3.sql.test"] {
        assert_eq!(routed(&[flag, ("database", "db")], Some(name)), "shop-12 | db | -", "{name}");
    }
    assert_eq!(routed(&[("database", "db")], Some("other-3.example.com")), "other-3 | db | -");
}
