//! Which source decides, case by case.

use super::*;

const HERE: &str = "http://127.0.0.1:8080";

fn pair(server: &str, key: &str) -> Pair {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Pair { server: some(server), key: some(key) }
}

fn profiles(current: &str, all: &[(&str, &str, &str)]) -> Profiles {
    let profile = |server: &str, key: &str| Profile {
        server: server.to_owned(),
        api_key: key.to_owned(),
        ca_file: None,
    };
    let all = all.iter().map(|(name, server, key)| ((*name).to_owned(), profile(server, key)));
    Profiles { current: (!current.is_empty()).then(|| current.to_owned()), profiles: all.collect() }
}

/// The server on this machine, with its own key.
fn here(_: &Path) -> Result<(String, String)> {
    Ok((HERE.to_owned(), "admin".to_owned()))
}

fn no_server(_: &Path) -> Result<(String, String)> {
    Err(Failure::new(Exit::Unreachable, "no server is running"))
}

fn chosen(sources: Sources) -> std::result::Result<(String, String), Exit> {
    let sources = Sources { data_dir: Some(PathBuf::from("/data")), ..sources };
    choose(&sources, &here).map_err(|failure| failure.exit)
}

fn is(server: &str, key: &str) -> std::result::Result<(String, String), Exit> {
    Ok((server.to_owned(), key.to_owned()))
}

#[test]
fn the_first_source_with_a_value_decides() {
    let all = || Sources {
        flags: pair("https://flag", "f"),
        ootheca: pair("https://own", "o"),
        cockroach: pair("https://theirs", "c"),
        profiles: profiles("default", &[("default", "https://stored", "p")]),
        ..Sources::default()
    };
    assert_eq!(chosen(all()), is("https://flag", "f"));
    let sources = Sources { flags: Pair::default(), ..all() };
    assert_eq!(chosen(sources), is("https://own", "o"));
    let sources = Sources { flags: Pair::default(), ootheca: Pair::default(), ..all() };
    assert_eq!(chosen(sources), is("https://theirs", "c"));
    let sources = Sources { profiles: all().profiles, ..Sources::default() };
    assert_eq!(chosen(sources), is("https://stored", "p"));
    assert_eq!(chosen(Sources::default()), is(HERE, "admin"));
    let sources = Sources { profile: Some("default".to_owned()), flags: Pair::default(), ..all() };
    assert_eq!(chosen(sources), is("https://stored", "p"));
}

#[test]
fn a_key_is_never_sent_to_the_server_of_another_source() {
    let cases: [(&str, Sources); 6] = [
        (
            "server flag, key in OOTHECA_API_KEY",
            Sources { flags: pair("https://a", ""), ootheca: pair("", "o"), ..Sources::default() },
        ),
        (
            "server flag, key for another server",
            Sources { flags: pair("https://a", ""), ootheca: pair("https://b", "o"), ..Sources::default() },
        ),
        (
            "server in OOTHECA_SERVER, key in COCKROACH_API_KEY",
            Sources { ootheca: pair("https://a", ""), cockroach: pair("", "c"), ..Sources::default() },
        ),
        (
            "key in OOTHECA_API_KEY, server in COCKROACH_SERVER",
            Sources { ootheca: pair("", "o"), cockroach: pair("https://a", ""), ..Sources::default() },
        ),
        (
            "key flag, server of the profile",
            Sources {
                flags: pair("", "f"),
                profiles: profiles("default", &[("default", "https://stored", "p")]),
                ..Sources::default()
            },
        ),
        (
            "key in OOTHECA_API_KEY, server on this machine",
            Sources { ootheca: pair("", "o"), ..Sources::default() },
        ),
    ];
    for (what, sources) in cases {
        assert_eq!(chosen(sources), Err(Exit::Usage), "{what}");
    }
}

#[test]
fn a_cockroach_key_without_a_server_is_ignored() {
    let sources = Sources { cockroach: pair("", "c"), ..Sources::default() };
    assert_eq!(chosen(sources), is(HERE, "admin"));
    let sources = Sources {
        cockroach: pair("", "c"),
        profiles: profiles("default", &[("default", "https://stored", "p")]),
        ..Sources::default()
    };
    assert_eq!(chosen(sources), is("https://stored", "p"));
}

#[test]
fn a_server_without_a_key_uses_the_key_that_another_source_has_for_it() {
    let stored = || profiles("", &[("work", "https://stored/", "p")]);
    let sources = Sources { flags: pair("https://STORED", ""), profiles: stored(), ..Sources::default() };
    assert_eq!(chosen(sources), is("https://stored", "p"));
    let sources = Sources {
        flags: pair("https://same", ""),
        ootheca: pair("https://same/", "o"),
        ..Sources::default()
    };
    assert_eq!(chosen(sources), is("https://same", "o"));
    let sources = Sources { flags: pair("127.0.0.1:8080", ""), ..Sources::default() };
    assert_eq!(chosen(sources), is(HERE, "admin"));
}

#[test]
fn the_data_dir_flag_comes_before_the_environment() {
    let sources = Sources { data_dir_flag: true, ootheca: pair("https://own", "o"), ..Sources::default() };
    assert_eq!(chosen(sources), is(HERE, "admin"));
}

#[test]
fn an_unknown_profile_and_a_stopped_server_are_errors() {
    let sources = Sources { profile: Some("other".to_owned()), ..Sources::default() };
    assert_eq!(chosen(sources), Err(Exit::NotFound));
    let sources = Sources { data_dir: Some(PathBuf::from("/data")), ..Sources::default() };
    assert_eq!(choose(&sources, &no_server).map_err(|failure| failure.exit), Err(Exit::Unreachable));
}

#[test]
fn addresses_are_normalized_and_checked() {
    let valid = [
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("cloud.example.com", "https://cloud.example.com"),
        ("https://Cloud.Example.com/", "https://cloud.example.com"),
        ("http://10.0.0.1:80", "http://10.0.0.1:80"),
        (" https://a ", "https://a"),
    ];
    for (text, expected) in valid {
        assert_eq!(address(text).map_err(|failure| failure.message), Ok(expected.to_owned()), "{text}");
    }
    for invalid in ["", "https://", "ftp://a", "https://user:word@a", "https://a/path", "https://a b", "a?b"]
    {
        assert_eq!(address(invalid).map_err(|failure| failure.exit), Err(Exit::Usage), "{invalid}");
    }
}
