//! The versions of the API, which the header `Cc-Version` selects, and all differences between them.
//!
//! Handlers only know the format of 2026-09-15. Each module is one boundary between two versions: how a
//! request is upgraded to the format after it, and a response is downgraded. A request passes the boundaries
//! from the caller's version to the newest one, and a response in the opposite direction. Unambiguous words
//! and names are accepted in every version. Requirements and responses are specific to each version.
//!
//! There is no boundary between 2024-09-16 and 2026-09-15: the only breaking change is that a cluster can
//! have an edition instead of a plan, and no cluster of this server has one.
//!
//! The default dialect, 2022-03-31, is not an older format but the one that the official page shows; see
//! [`v2022_03_31`]. Newer operations and members are not hidden from older versions.

mod fields;
mod v2022_03_31;
mod v2022_09_20;
mod v2023_04_10;
mod v2024_09_16;

pub(crate) use v2022_09_20::parameter_name;

use crate::{operations::Op, wire::KeysetPaginationResponse};
use ootheca_model::{Error, ErrorKind, Result, Timestamp, cluster::SortOrder};
use serde_json::Value;

/// A version of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The default dialect.
    #[default]
    V2022_03_31,
    /// The second version.
    V2022_09_20,
    /// The third version.
    V2023_04_10,
    /// The fourth version.
    V2024_09_16,
    /// The format that handlers know; also called `latest`.
    V2026_09_15,
}

/// The pagination of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// Token of the next page.
    pub next: Option<String>,
    /// Token of the previous page.
    pub previous: Option<String>,
    /// The maximum number of items in a page.
    pub limit: usize,
    /// The time as of which the list is shown.
    pub as_of: Timestamp,
    /// The direction of the list.
    pub order: SortOrder,
    /// The number of items before the page and in the whole list, if they are known.
    pub place: Option<(usize, usize)>,
}

impl Version {
    /// The newest version, which `latest` means.
    pub const LATEST: Version = Version::V2026_09_15;

    /// Every version, oldest first.
    pub const ALL: [Version; 5] = [
        Version::V2022_03_31,
        Version::V2022_09_20,
        Version::V2023_04_10,
        Version::V2024_09_16,
        Version::V2026_09_15,
    ];

    /// Reads the version from the header of a request.
    pub fn from_header(header: Option<&str>) -> Result<Self> {
        match header.map(str::trim) {
            None => Ok(Self::default()),
            Some("latest") => Ok(Self::LATEST),
            Some(text) => {
                let known = Self::ALL.into_iter().find(|version| version.header() == text);
                known.ok_or_else(|| Error::new(ErrorKind::Invalid, "invalid Cc-Version"))
            }
        }
    }

    /// The date of the version, as the header contains it.
    pub const fn header(self) -> &'static str {
        match self {
            Version::V2022_03_31 => "2022-03-31",
            Version::V2022_09_20 => "2022-09-20",
            Version::V2023_04_10 => "2023-04-10",
            Version::V2024_09_16 => "2024-09-16",
            Version::V2026_09_15 => "2026-09-15",
        }
    }

    /// The boundaries between this version and the newest one, newest first.
    fn boundaries(self) -> &'static [Boundary] {
        match self {
            Version::V2022_03_31 => &[v2022_03_31::BOUNDARY],
            Version::V2022_09_20 => &[v2024_09_16::BOUNDARY, v2023_04_10::BOUNDARY],
            Version::V2023_04_10 => &[v2024_09_16::BOUNDARY],
            Version::V2024_09_16 | Version::V2026_09_15 => &[],
        }
    }

    /// Upgrades the body of a request to the newest format. Refuses what this version does not allow.
    pub(crate) fn upgrade(self, op: Op, body: &mut Value) -> Result<()> {
        v2023_04_10::upgrade_words(op, body);
        self.boundaries().iter().rev().try_for_each(|boundary| (boundary.upgrade)(op, body))
    }

    /// Downgrades the JSON of a response to this version. Returns the body unchanged if the versions do not
    /// differ.
    pub fn downgrade(self, op: Op, body: Vec<u8>) -> Vec<u8> {
        let touched = || self.boundaries().iter().filter(|boundary| (boundary.touches)(op));
        if touched().next().is_none() {
            return body;
        }
        let Ok(mut value) = serde_json::from_slice(&body) else { return body };
        touched().for_each(|boundary| (boundary.downgrade)(op, &mut value));
        // `null` is an empty response.
        if value.is_null() { Vec::new() } else { value.to_string().into_bytes() }
    }

    /// The member `pagination` of a list.
    pub fn pagination(self, op: Op, page: Page) -> KeysetPaginationResponse {
        let legacy = (self < Version::V2022_09_20).then(|| v2022_09_20::older_members(op, &page));
        KeysetPaginationResponse {
            next_page: page.next.unwrap_or_default(),
            previous_page: page.previous.unwrap_or_default(),
            legacy,
        }
    }
}

/// What changed when a version was introduced.
struct Boundary {
    /// Whether responses of this operation differ.
    touches: fn(Op) -> bool,
    /// Upgrades a request from before the boundary.
    upgrade: fn(Op, &mut Value) -> Result<()>,
    /// Downgrades a response.
    downgrade: fn(Op, &mut Value),
}

/// A path or query parameter in its newest spelling. All spellings are accepted in all versions.
pub(crate) fn parameter<'a>(name: &str, text: &'a str) -> &'a str {
    v2023_04_10::parameter(name, v2022_09_20::parameter(name, text))
}

#[cfg(test)]
mod tests;
