//! Pagination, which all lists share.

use crate::params::query_params;
use ootheca_model::{Timestamp, cluster::SortOrder};
use schemars::JsonSchema;
use serde::Serialize;

query_params! {
    /// The requested part of a list. The names of 2022-03-31 (`start_key`, `time`, `order`) are accepted too.
    PageQuery {
        /// Token of the page; empty for the first page.
        page: String = "pagination.page",
        /// Maximum number of items in the page.
        limit: i32 = "pagination.limit",
        /// Hides items that were created after this time.
        as_of_time: Timestamp = "pagination.as_of_time",
        /// Direction of the list.
        sort_order: SortOrder = "pagination.sort_order",
    }
}

/// Tokens of the neighboring pages; empty if there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct KeysetPaginationResponse {
    /// Token of the next page.
    pub next_page: String,
    /// Token of the previous page.
    pub previous_page: String,
    /// Additional members of the default dialect; see
    /// [`Version::pagination`](crate::versions::Version::pagination).
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
    /// Maximum number of items in a page.
    pub limit: usize,
    /// Number of items in the whole list, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_results: Option<usize>,
    /// The time as of which the list is shown.
    pub time: Timestamp,
    /// Direction of the list.
    pub order: SortOrder,
}

/// A neighboring page, identified by its token, or in the oldest format by the number of items before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PageMark {
    /// The token of the page.
    Token(String),
    /// The number of items before the page; 0 if there is no such page.
    Offset(usize),
}
