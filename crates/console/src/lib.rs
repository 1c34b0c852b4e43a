//! The built files of the console, embedded in the program. Maps a path to bytes and headers.
//!
//! Pure: no input or output. `build.rs` embeds the files that `./dev` has built in `console/dist`. If they are
//! missing, it embeds one page that says so. The server adds the other headers, such as the security policy.

mod kinds;

use flate2::read::GzDecoder;
use kinds::content_type;
use std::{borrow::Cow, io::Read as _};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Whether the console was built before the program. Otherwise there is only a page that says that it was not.
pub const BUILT: bool = IS_BUILT;

/// The placeholder of the nonce in pages. Only styles with the nonce are allowed. If a page contains it,
/// [`Response::nonce`] is true, and the server replaces it with a new nonce in each response.
pub const NONCE: &str = "__CSP_NONCE__";

/// The page of the application, which routes paths itself.
const INDEX: &str = "index.html";
/// The folder of files with a hash of their content in their names.
const HASHED: &str = "assets/";

/// An embedded file.
struct File {
    /// The path below the root, without a leading slash.
    path: &'static str,
    etag: &'static str,
    /// Whether `bytes` are compressed with gzip.
    compressed: bool,
    /// Whether the file contains [`NONCE`].
    nonce: bool,
    bytes: &'static [u8],
}

/// The response to `GET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status: 200, 304 or 404.
    pub status: u16,
    /// Names in lowercase, and values.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Whether the body contains [`NONCE`].
    pub nonce: bool,
    /// Empty for 304.
    pub body: Cow<'static, [u8]>,
}

/// The response for a path that starts with a slash, and for the headers `Accept-Encoding` and `If-None-Match`.
/// A path without a file that does not look like one belongs to the application.
pub fn find(path: &str, accept_encoding: Option<&str>, if_none_match: Option<&str>) -> Response {
    find_in(FILES, path, accept_encoding, if_none_match)
}

/// Whether a path belongs to the application, and not to a file.
pub fn is_page(path: &str) -> bool {
    let path = path.trim_start_matches('/');
    !looks_like_a_file(path) && !FILES.iter().any(|file| file.path == path)
}

fn find_in(files: &[File], path: &str, accept: Option<&str>, known: Option<&str>) -> Response {
    let path = path.trim_start_matches('/');
    let found = files.iter().find(|file| file.path == path);
    let index = || files.iter().find(|file| file.path == INDEX && !looks_like_a_file(path));
    match found.or_else(index) {
        Some(file) => answer(file, accept, known),
        None => missing(),
    }
}

/// Whether a path looks like a file. Names in paths can contain dots, for example email addresses.
fn looks_like_a_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    path.starts_with(HASHED) || path.starts_with('.') || content_type(name).is_some()
}

fn answer(file: &File, accept: Option<&str>, known: Option<&str>) -> Response {
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
            return Response { status: 304, headers, nonce: false, body: Cow::Borrowed(&[]) };
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
    Response { status: 200, headers, nonce: file.nonce, body }
}

fn missing() -> Response {
    let headers = vec![("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")];
    Response { status: 404, headers, nonce: false, body: Cow::Borrowed(b"there is no such file\n") }
}

/// Whether `If-None-Match` contains the tag. Weak tags match, because a proxy may have weakened them.
fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// Whether `Accept-Encoding` allows gzip, by name or by `*`, with a weight above zero.
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

/// Decompresses a file for clients that do not accept gzip.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    // The data was compressed at build time, so this cannot fail; the worst result would be a truncated page.
    let _ = GzDecoder::new(bytes).read_to_end(&mut whole);
    whole
}

#[cfg(test)]
mod tests;
