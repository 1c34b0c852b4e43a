//! What the lists share.

use crate::params::query_params;
use ootheca_model::{Timestamp, cluster::SortOrder};
use schemars::JsonSchema;
use serde::Serialize;

query_params! {
    /// Which part of a list is asked for. The names of 2022-03-31 (`start_key`, `time`, `order`) are read
    /// as well.
    PageQuery {
        /// Token of the page; empty for the first one.
        page: String = "pagination.page",
        /// Most items in the page.
        limit: i32 = "pagination.limit",
        /// Hides what was created after this moment.
        as_of_time: Timestamp = "pagination.as_of_time",
        /// Direction of the list.
        sort_order: SortOrder = "pagination.sort_order",
    }
}

/// Tokens of the neighbouring pages; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct KeysetPaginationResponse {
    /// Token of the next page.
    pub next_page: String,
    /// Token of the previous page.
    pub previous_page: String,
    /// What the default dialect says besides; see [`Version::pagination`](crate::versions::Version::pagination).
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub legacy: Option<LegacyPagination>,
}

/// The members that `pagination` had in 2022-03-31.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LegacyPagination {
    /// Token of the next page.
    pub next: PageMark,
    /// Token of the previous page.
    pub last: PageMark,
    /// Most items in a page.
    pub limit: usize,
    /// Items in the whole list, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_results: Option<usize>,
    /// The moment that the list shows.
    pub time: Timestamp,
    /// Direction of the list.
    pub order: SortOrder,
}

/// A neighbouring page: by its token, or, in the oldest form, by the number of items before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PageMark {
    /// Its token.
    Token(String),
    /// How many items stand before it; 0 where there is no such page.
    Offset(usize),
}
