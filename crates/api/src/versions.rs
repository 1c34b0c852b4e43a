//! The dialects of the API, chosen by the header `Cc-Version`.
//!
//! Handlers know one form, that of 2024-09-16. The default dialect, 2022-03-31, is what the product's
//! page shows: today's names, but empty answers to a cluster's PATCH and DELETE, names alone in the list
//! of regions, and the older members of `pagination` beside the newer ones. The two versions in between
//! are served in the form of 2024-09-16.

use crate::{
    operations::Op,
    wire::{KeysetPaginationResponse, LegacyPagination, PageMark},
};
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
    /// The form that handlers know; also called `latest`.
    V2024_09_16,
}

/// What a list says about the page that it answers with.
#[derive(Clone, Debug)]
pub struct Page {
    /// Token of the next page.
    pub next: Option<String>,
    /// Token of the previous page.
    pub previous: Option<String>,
    /// Most items in a page.
    pub limit: usize,
    /// The moment that the list shows.
    pub as_of: Timestamp,
    /// Direction of the list.
    pub order: SortOrder,
    /// How many items stand before the page and how many there are in all, where that is known.
    pub place: Option<(usize, usize)>,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Version; 4] =
        [Version::V2022_03_31, Version::V2022_09_20, Version::V2023_04_10, Version::V2024_09_16];

    /// The version that a request asks for.
    pub fn from_header(header: Option<&str>) -> Result<Self> {
        match header.map(str::trim) {
            None => Ok(Self::default()),
            Some("latest") => Ok(Self::V2024_09_16),
            Some(text) => {
                let known = Self::ALL.into_iter().find(|version| version.header() == text);
                known.ok_or_else(|| Error::new(ErrorKind::Invalid, "invalid Cc-Version"))
            }
        }
    }

    /// Its date, as the header names it.
    pub fn header(self) -> &'static str {
        match self {
            Version::V2022_03_31 => "2022-03-31",
            Version::V2022_09_20 => "2022-09-20",
            Version::V2023_04_10 => "2023-04-10",
            Version::V2024_09_16 => "2024-09-16",
        }
    }

    /// Turns the JSON of an answer into this dialect. Costs nothing where the dialects agree.
    pub fn render(self, op: Op, body: Vec<u8>) -> Vec<u8> {
        match (self, op) {
            (Version::V2022_03_31, Op::UpdateCluster | Op::DeleteCluster) => Vec::new(),
            (Version::V2022_03_31, Op::ListAvailableRegions) => region_names(body),
            _ => body,
        }
    }

    /// The member `pagination` of a list. In the default dialect it holds the older members too: tokens,
    /// or for nodes, as on the page, the number of items before the neighbouring page.
    pub fn pagination(self, op: Op, page: Page) -> KeysetPaginationResponse {
        let legacy = (self == Version::V2022_03_31).then(|| legacy(op, &page));
        KeysetPaginationResponse {
            next_page: page.next.unwrap_or_default(),
            previous_page: page.previous.unwrap_or_default(),
            legacy,
        }
    }
}

fn legacy(op: Op, page: &Page) -> LegacyPagination {
    let token = |token: &Option<String>| PageMark::Token(token.clone().unwrap_or_default());
    let (next, last) = match page.place {
        Some((before, _)) if op == Op::ListClusterNodes => {
            let next = if page.next.is_some() { before + page.limit } else { 0 };
            (PageMark::Offset(next), PageMark::Offset(before.saturating_sub(page.limit)))
        }
        _ => (token(&page.next), token(&page.previous)),
    };
    let total_results = page.place.map(|(_, total)| total);
    LegacyPagination { next, last, limit: page.limit, total_results, time: page.as_of, order: page.order }
}

/// The list of regions with their names alone.
fn region_names(body: Vec<u8>) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return body };
    if let Some(regions) = value.get_mut("regions").and_then(Value::as_array_mut) {
        regions.iter_mut().for_each(|region| *region = region["name"].take());
    }
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests;
