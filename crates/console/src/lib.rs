//! The console's built files, inside the program: a path becomes bytes and headers.
//!
//! Pure: no input, no output, and nothing of HTTP but its words. `build.rs` embeds what `./dev` has built
//! in `console/dist`; where that is missing, one page that says so. What else goes with an answer, above
//! all its security policy, is the server's business.

mod kinds;

use flate2::read::GzDecoder;
use kinds::content_type;
use std::{borrow::Cow, io::Read as _};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Whether the console was built before the program was; if not, there is only a page that says so.
pub const BUILT: bool = IS_BUILT;

/// Stands in pages for a number that is another one in each answer: only styles that hold it count. Where
/// a page has it, [`Answer::nonce`] is true and whoever answers replaces it.
pub const NONCE: &str = "__CSP_NONCE__";

/// The page that is the application; its own router knows the paths.
const INDEX: &str = "index.html";
/// In here a name holds the hash of its content.
const HASHED: &str = "assets/";

/// A file as it is embedded.
struct File {
    /// Below the root, without a slash at its beginning.
    path: &'static str,
    etag: &'static str,
    /// Whether `bytes` are compressed with gzip.
    compressed: bool,
    /// Whether it holds [`NONCE`].
    nonce: bool,
    bytes: &'static [u8],
}

/// What is answered to `GET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status: 200, 304 or 404.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Whether the body holds [`NONCE`].
    pub nonce: bool,
    /// Nothing after 304.
    pub body: Cow<'static, [u8]>,
}

/// The answer for a path, which begins with a slash. A path that is no file and does not look like one is the
/// application's. The others are the headers `Accept-Encoding` and `If-None-Match`.
pub fn find(path: &str, accept_encoding: Option<&str>, if_none_match: Option<&str>) -> Answer {
    find_in(FILES, path, accept_encoding, if_none_match)
}

fn find_in(files: &[File], path: &str, accept: Option<&str>, known: Option<&str>) -> Answer {
    let path = path.trim_start_matches('/');
    let found = files.iter().find(|file| file.path == path);
    let index = || files.iter().find(|file| file.path == INDEX && !looks_like_a_file(path));
    match found.or_else(index) {
        Some(file) => answer(file, accept, known),
        None => missing(),
    }
}

/// Whether a path would be a file if there were one. Names of things may have dots, as e-mail addresses do.
fn looks_like_a_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    path.starts_with(HASHED) || path.starts_with('.') || content_type(name).is_some()
}

fn answer(file: &File, accept: Option<&str>, known: Option<&str>) -> Answer {
    let kind = content_type(file.path).unwrap_or("application/octet-stream");
    let caching = match file.path.starts_with(HASHED) {
        true => "public, max-age=31536000, immutable",
        false if file.nonce => "no-store",
        false => "no-cache",
    };
    let mut headers = vec![("content-type", kind), ("cache-control", caching)];
    if file.compressed {
        headers.push(("vary", "accept-encoding"));
    }
    if !file.nonce {
        headers.push(("etag", file.etag));
        if known.is_some_and(|known| matches(known, file.etag)) {
            return Answer { status: 304, headers, nonce: false, body: Cow::Borrowed(&[]) };
        }
    }
    let body = match file.compressed {
        true if !takes_gzip(accept) => Cow::Owned(unpacked(file.bytes)),
        packed => {
            if packed {
                headers.push(("content-encoding", "gzip"));
            }
            Cow::Borrowed(file.bytes)
        }
    };
    Answer { status: 200, headers, nonce: file.nonce, body }
}

fn missing() -> Answer {
    let headers = vec![("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")];
    Answer { status: 404, headers, nonce: false, body: Cow::Borrowed(b"there is no such file\n") }
}

/// Whether one of the tags of `If-None-Match` is that one. Weak ones count: a proxy may have made them so.
fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// Whether `Accept-Encoding` lets gzip pass: named, or by a star, and not with a weight of nothing.
fn takes_gzip(accept: Option<&str>) -> bool {
    let mut star = false;
    for part in accept.unwrap_or_default().split(',') {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        let weight =
            parameters.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        let taken = weight.is_none_or(|weight| weight > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return taken,
            "*" => star = taken,
            _ => {}
        }
    }
    star
}

/// For the few who do not take gzip.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    // What was packed at build time can be unpacked; a page that is cut short is all that could come of it.
    let _ = GzDecoder::new(bytes).read_to_end(&mut whole);
    whole
}

#[cfg(test)]
mod tests;
