use super::*;
use proptest::prelude::*;

/// `index` and `script`, compressed with gzip.
fn files() -> Vec<File> {
    let packed = |text: &str| -> &'static [u8] {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        Box::leak(encoder.finish().unwrap().into_boxed_slice())
    };
    let file = |path, etag, bytes| File { path, etag, compressed: true, nonce: false, bytes };
    vec![
        file("assets/main-1a2b.js", "\"js\"", packed("script")),
        File { compressed: false, ..file("favicon.svg", "\"svg\"", b"<svg/>".as_slice()) },
        file("index.html", "\"page\"", packed("index")),
    ]
}

fn get(path: &str) -> Response {
    find_in(&files(), path, None, None)
}

fn header(answer: &Response, name: &str) -> Option<&'static str> {
    answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

#[test]
fn application_paths_return_the_index_page() {
    let routes = [
        "/",
        "/clusters",
        "/clusters/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f/overview",
        "/access/people/ada@example.com",
        "/clusters/1/databases/v1.2",
        "/index.html",
        "",
    ];
    for path in routes {
        let page = get(path);
        assert_eq!((page.status, &*page.body), (200, b"index".as_slice()), "{path}");
        assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(header(&page, "cache-control"), Some("no-cache"));
    }
}

#[test]
fn missing_files_return_404() {
    for path in ["/assets/other.js", "/assets/x", "/robots.txt", "/a/b.css", "/.well-known/x", "/.env"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
}

#[test]
fn hashed_files_are_cached_permanently() {
    let script = get("/assets/main-1a2b.js");
    assert_eq!(&*script.body, b"script");
    assert_eq!(header(&script, "content-type"), Some("text/javascript; charset=utf-8"));
    assert!(header(&script, "cache-control").unwrap().contains("immutable"));
    let icon = get("/favicon.svg");
    assert_eq!(header(&icon, "content-type"), Some("image/svg+xml"));
    assert_eq!(header(&icon, "cache-control"), Some("no-cache"));
    assert_eq!(header(&icon, "vary"), None);
}

#[test]
fn gzip_is_negotiated() {
    for accept in ["gzip", "deflate, gzip;q=0.5, br", "GZIP", "*", "br, *;q=0.1"] {
        let answer = find_in(&files(), "/", Some(accept), None);
        assert_eq!(header(&answer, "content-encoding"), Some("gzip"), "{accept}");
        assert_eq!(unpacked(&answer.body), b"index");
        assert_eq!(header(&answer, "vary"), Some("accept-encoding"));
    }
    for accept in ["", "identity", "br", "gzip;q=0", "*, gzip; q=0.0", "x-gzip"] {
        let answer = find_in(&files(), "/", Some(accept), None);
        assert_eq!(
            (header(&answer, "content-encoding"), &*answer.body),
            (None, b"index".as_slice()),
            "{accept}"
        );
        assert_eq!(header(&answer, "vary"), Some("accept-encoding"));
    }
}

#[test]
fn matching_etags_return_304() {
    for known in ["\"page\"", "W/\"page\"", "\"a\", \"page\"", "*"] {
        let answer = find_in(&files(), "/", None, Some(known));
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(header(&answer, "etag"), Some("\"page\""));
    }
    for other in ["\"js\"", "page", ""] {
        assert_eq!(find_in(&files(), "/", None, Some(other)).status, 200, "{other}");
    }
}

#[test]
fn pages_with_a_nonce_are_not_cached() {
    let mut files = files();
    files[2] = File { compressed: false, nonce: true, bytes: NONCE.as_bytes(), ..file_of("index.html") };
    let page = find_in(&files, "/", Some("gzip"), Some("*"));
    assert!(page.nonce && page.status == 200);
    assert_eq!(&*page.body, NONCE.as_bytes());
    assert_eq!(header(&page, "cache-control"), Some("no-store"));
    assert_eq!(header(&page, "etag"), None);
}

fn file_of(path: &str) -> File {
    files().into_iter().find(|file| file.path == path).unwrap()
}

#[test]
fn the_index_page_is_embedded() {
    let page = find("/", None, None);
    assert_eq!(page.status, 200);
    let text = String::from_utf8_lossy(&page.body);
    assert!(text.contains("<title>Ootheca"), "{text}");
    assert_eq!(!BUILT, text.contains("./dev up"), "{text}");
}

/// `./dev test` requires the built console, so that its tests do not run against the fallback page.
#[test]
fn the_console_is_built_if_required() {
    let required = std::env::var("OOTHECA_CONSOLE_REQUIRED").is_ok_and(|value| value == "1");
    assert!(BUILT || !required, "console/dist/index.html was missing when this was compiled");
}

proptest! {
    #[test]
    fn every_path_has_a_response(path in "/[ -~]{0,30}", accept in "[a-z*;q=,.0-9 ]{0,30}") {
        let answer = find_in(&files(), &path, Some(&accept), None);
        prop_assert!(matches!(answer.status, 200 | 404) && !answer.body.is_empty());
    }
}

#[test]
fn pages_are_distinguished_from_files() {
    for path in ["/", "/clusters", "/v1/clusters", "/access/people/ada@example.com"] {
        assert!(is_page(path), "{path}");
    }
    for path in ["/index.html", "/assets/x.js", "/assets/nothing", "/favicon.ico", "/.well-known"] {
        assert!(!is_page(path), "{path}");
    }
}
