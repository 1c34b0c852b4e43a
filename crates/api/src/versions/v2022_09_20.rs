//! The boundary between 2022-03-31 and 2022-09-20: one token for each neighboring page, and different names
//! of the pagination parameters.

use super::Page;
use crate::{
    operations::Op,
    wire::{LegacyPagination, PageMark},
};

/// The earlier names of the members of `pagination`.
const NAMES: [(&str, &str); 3] = [
    ("pagination.start_key", "pagination.page"),
    ("pagination.time", "pagination.as_of_time"),
    ("pagination.order", "pagination.sort_order"),
];

/// The newer name of a query parameter.
pub(crate) fn parameter_name(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(older, _)| *older == name).map(|(_, newer)| *newer)
}

/// The newer spelling of a parameter. The zero values of enums were removed.
pub(super) fn parameter<'a>(name: &str, text: &'a str) -> &'a str {
    match (name, text) {
        ("provider", "CLOUD_PROVIDER_UNSPECIFIED") => "",
        _ => text,
    }
}

/// The earlier members of `pagination`: tokens, or, for nodes as on the official page, the number of items
/// before the neighboring page.
pub(super) fn older_members(op: Op, page: &Page) -> LegacyPagination {
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
