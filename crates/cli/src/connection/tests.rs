//! Which source decides, as a table.

use super::*;

const HERE: &str = "http://127.0.0.1:8080";

fn pair(server: &str, key: &str) -> Pair {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Pair { server: some(server), key: some(key) }
}

fn profiles(current: &str, all: &[(&str, &str, &str)]) -> Profiles {
    let profile = |server: &str, key: &str| Profile { server: server.to_owned(), api_key: key.to_owned() };
    let all = all.iter().map(|(name, server, key)| ((*name).to_owned(), profile(server, key)));
    Profiles { current: (!current.is_empty()).then(|| current.to_owned()), profiles: all.collect() }
}

/// The server of this machine, with its own key.
fn here(_: &Path) -> Result<(String, String)> {
    Ok((HERE.to_owned(), "admin".to_owned()))
}

fn nowhere(_: &Path) -> Result<(String, String)> {
    Err(Failure::new(Exit::Unreachable, "none runs here"))
}

fn chosen(sources: Sources) -> std::result::Result<(String, String), Exit> {
    let sources = Sources { local: Some(PathBuf::from("/data")), ..sources };
    choose(&sources, &here).map_err(|failure| failure.exit)
}

fn is(server: &str, key: &str) -> std::result::Result<(String, String), Exit> {
    Ok((server.to_owned(), key.to_owned()))
}

#[test]
fn the_first_source_decides() {
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
    let sources = Sources { wanted: Some("default".to_owned()), flags: Pair::default(), ..all() };
    assert_eq!(chosen(sources), is("https://stored", "p"));
}

#[test]
fn a_key_never_goes_to_a_server_of_another_source() {
    // The key of one that has a server of its own, or none, with the server of another.
    let cases: [(&str, Sources); 6] = [
        (
            "flag, own key",
            Sources { flags: pair("https://a", ""), ootheca: pair("", "o"), ..Sources::default() },
        ),
        (
            "flag, other server",
            Sources { flags: pair("https://a", ""), ootheca: pair("https://b", "o"), ..Sources::default() },
        ),
        (
            "own server, their key",
            Sources { ootheca: pair("https://a", ""), cockroach: pair("", "c"), ..Sources::default() },
        ),
        (
            "own key, their server",
            Sources { ootheca: pair("", "o"), cockroach: pair("https://a", ""), ..Sources::default() },
        ),
        (
            "flag's key, stored server",
            Sources {
                flags: pair("", "f"),
                profiles: profiles("default", &[("default", "https://stored", "p")]),
                ..Sources::default()
            },
        ),
        ("own key, this machine", Sources { ootheca: pair("", "o"), ..Sources::default() }),
    ];
    for (what, sources) in cases {
        assert_eq!(chosen(sources), Err(Exit::Usage), "{what}");
    }
}

#[test]
fn a_key_of_terraform_alone_is_not_ours() {
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
fn a_server_without_a_key_takes_the_key_that_is_known_for_it() {
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
fn a_named_data_folder_comes_before_variables() {
    let sources = Sources { insists: true, ootheca: pair("https://own", "o"), ..Sources::default() };
    assert_eq!(chosen(sources), is(HERE, "admin"));
}

#[test]
fn what_is_not_there_is_told() {
    let sources = Sources { wanted: Some("other".to_owned()), ..Sources::default() };
    assert_eq!(chosen(sources), Err(Exit::NotFound));
    let sources = Sources { local: Some(PathBuf::from("/data")), ..Sources::default() };
    assert_eq!(choose(&sources, &nowhere).map_err(|failure| failure.exit), Err(Exit::Unreachable));
}

#[test]
fn addresses() {
    let right = [
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("cloud.example.com", "https://cloud.example.com"),
        ("https://Cloud.Example.com/", "https://cloud.example.com"),
        ("http://10.0.0.1:80", "http://10.0.0.1:80"),
        (" https://a ", "https://a"),
    ];
    for (text, expected) in right {
        assert_eq!(address(text).map_err(|failure| failure.message), Ok(expected.to_owned()), "{text}");
    }
    for wrong in ["", "https://", "ftp://a", "https://user:word@a", "https://a/path", "https://a b", "a?b"] {
        assert_eq!(address(wrong).map_err(|failure| failure.exit), Err(Exit::Usage), "{wrong}");
    }
}
