//! Pages of lists: of rows in the store, and of lists in memory.

use crate::api::call::Call;
use ootheca_api::{
    page::{LIMIT, PageRequest, PageToken, fingerprint},
    versions::Page,
    wire::{KeysetPaginationResponse, PageQuery},
};
use ootheca_model::{Error, Result, Timestamp, cluster::SortOrder};
use ootheca_store::{Position, Query, Row};
use std::ops::Range;

/// A page of rows. `rows` selects them and contains the default order; the organization, the page, and the time are
/// set here.
pub async fn rows(
    call: &Call,
    page: &PageQuery,
    rows: Query,
) -> Result<(Vec<Row>, KeysetPaginationResponse)> {
    matching_rows(call, page, rows, "", |_| Ok(true)).await
}

/// A page of the rows for which `keep` returns true. Tokens are bound to `filters`, which `keep` depends on.
pub async fn matching_rows(
    call: &Call,
    page: &PageQuery,
    rows: Query,
    filters: &str,
    keep: impl Fn(&Row) -> Result<bool>,
) -> Result<(Vec<Row>, KeysetPaginationResponse)> {
    let filters = format!(
        "{:?} {:?} {:?} {:?} {:?}{filters}",
        rows.parent, rows.ids, rows.parents, rows.active_only, rows.order
    );
    let default = if rows.descending { SortOrder::Desc } else { SortOrder::Asc };
    let list = List::read(call, page, &filters, default)?;
    let request = &list.request;
    let after =
        request.token.as_ref().map(|token| Position { value: token.value.clone(), id: token.id.clone() });
    let mut query = Query {
        organization: Some(call.granted.organization()),
        as_of: Some(request.as_of),
        descending: list.descending(),
        after,
        limit: request.limit + 1,
        ..rows
    };
    let order = query.order;
    let mut found = Vec::new();
    loop {
        let some = call.context.store.list(&query).await?;
        let last = some.len() < query.limit;
        query.after = some.last().map(|row| Position::of(row, order));
        query.limit = LIMIT;
        for row in some {
            if keep(&row)? {
                found.push(row);
            }
        }
        if last || found.len() > request.limit {
            break;
        }
    }
    Ok(list.page(call, found, |row| Position::of(row, order)))
}

/// A page of items that are ordered by unique times, the newest first by default, and that are not rows.
pub struct TimePage(List);

impl TimePage {
    /// Reads the request. Tokens are bound to `filters`.
    pub fn read(call: &Call, page: &PageQuery, filters: &str) -> Result<Self> {
        List::read(call, page, filters, SortOrder::Desc).map(Self)
    }

    /// Whether to read the newest items first.
    pub fn descending(&self) -> bool {
        self.0.descending()
    }

    /// The number of items to read: one more than the page can have.
    pub fn limit(&self) -> usize {
        self.0.request.limit + 1
    }

    /// The part of `times` from which to read items.
    pub fn times(&self, times: Range<Timestamp>) -> Result<Range<Timestamp>> {
        let following = |time: Timestamp| Timestamp(time.0.saturating_add(1));
        let request = &self.0.request;
        let mut times = times.start..times.end.min(following(request.as_of));
        if let Some(token) = &request.token {
            let mark = token.value.parse::<i64>().map(Timestamp);
            let mark = mark.map_err(|_| Error::invalid("pagination.page", "is not a page of this list"))?;
            if self.descending() {
                times.end = times.end.min(mark);
            } else {
                times.start = times.start.max(following(mark));
            }
        }
        Ok(times)
    }

    /// The page of the items that were read.
    pub fn page<T>(
        &self,
        call: &Call,
        found: Vec<T>,
        time: impl Fn(&T) -> Timestamp,
    ) -> (Vec<T>, KeysetPaginationResponse) {
        self.0.page(call, found, |item| Position { value: time(item).0.to_string(), id: String::new() })
    }
}

/// A page of a list in memory, in ascending order by default. `key` is a unique key by which it is ordered.
pub fn slice<T>(
    call: &Call,
    page: &PageQuery,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, KeysetPaginationResponse)> {
    sorted_slice(call, page, "", items, key, SortOrder::Asc)
}

/// The same for a list that depends on `filters`. Tokens are bound to them.
pub fn filtered_slice<T>(
    call: &Call,
    page: &PageQuery,
    filters: &str,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, KeysetPaginationResponse)> {
    sorted_slice(call, page, filters, items, key, SortOrder::Asc)
}

/// The same, in descending order by default.
pub fn slice_descending<T>(
    call: &Call,
    page: &PageQuery,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, KeysetPaginationResponse)> {
    sorted_slice(call, page, "", items, key, SortOrder::Desc)
}

fn sorted_slice<T>(
    call: &Call,
    page: &PageQuery,
    filters: &str,
    mut items: Vec<T>,
    key: impl Fn(&T) -> String,
    default: SortOrder,
) -> Result<(Vec<T>, KeysetPaginationResponse)> {
    let list = List::read(call, page, filters, default)?;
    let (request, descending) = (&list.request, list.request.order == SortOrder::Desc);
    items.sort_by_cached_key(&key);
    if descending {
        items.reverse();
    }
    let total = items.len();
    // Whether an item comes before the token's item, in the direction of the list.
    let before = |item: &T, mark: &String| if descending { key(item) > *mark } else { key(item) < *mark };
    let start = match &request.token {
        None => 0,
        Some(token) if token.backward => {
            items.partition_point(|item| before(item, &token.value)).saturating_sub(request.limit)
        }
        Some(token) => items.partition_point(|item| before(item, &token.value) || key(item) == token.value),
    };
    let end = match &request.token {
        Some(token) if token.backward => items.partition_point(|item| before(item, &token.value)),
        _ => (start + request.limit).min(total),
    };
    items.truncate(end);
    let found = items.split_off(start.min(end));
    let mark = |item: Option<&T>| item.map(|item| Position { value: key(item), id: String::new() });
    let previous = mark(found.first()).filter(|_| start > 0);
    let next = mark(found.last()).filter(|_| end < total);
    let pagination = list.pagination(call, previous, next, Some((start, total)));
    Ok((found, pagination))
}

/// The requested part of a list.
struct List {
    request: PageRequest,
    fingerprint: String,
}

impl List {
    fn read(call: &Call, page: &PageQuery, filters: &str, default: SortOrder) -> Result<Self> {
        let cluster = call.granted.cluster().map(|id| id.to_string()).unwrap_or_default();
        let fingerprint = fingerprint(call.operation.name, [cluster.as_str(), filters]);
        let request =
            PageRequest::read(page, &call.context.page_key, &fingerprint, default, call.context.now())?;
        Ok(Self { request, fingerprint })
    }

    /// Whether the page is read towards the start of the list.
    fn backward(&self) -> bool {
        self.request.token.as_ref().is_some_and(|token| token.backward)
    }

    /// Whether items are read in descending order.
    fn descending(&self) -> bool {
        (self.request.order == SortOrder::Desc) != self.backward()
    }

    /// The page of the items that were read, of which there is one more if the list goes on.
    fn page<T>(
        &self,
        call: &Call,
        mut found: Vec<T>,
        place: impl Fn(&T) -> Position,
    ) -> (Vec<T>, KeysetPaginationResponse) {
        let more = found.len() > self.request.limit;
        found.truncate(self.request.limit);
        if self.backward() {
            found.reverse();
        }
        let began = self.request.token.is_some();
        let (before, behind) = if self.backward() { (more, began) } else { (began, more) };
        let previous = found.first().map(&place).filter(|_| before);
        let next = found.last().map(&place).filter(|_| behind);
        let pagination = self.pagination(call, previous, next, None);
        (found, pagination)
    }

    fn pagination(
        &self,
        call: &Call,
        previous: Option<Position>,
        next: Option<Position>,
        place: Option<(usize, usize)>,
    ) -> KeysetPaginationResponse {
        let request = &self.request;
        let token = |position: Option<Position>, backward| {
            let token = position.map(|Position { value, id }| PageToken {
                value,
                id,
                backward,
                as_of: request.as_of,
                order: request.order,
                filters: self.fingerprint.clone(),
            });
            token.map(|token| token.encode(&call.context.page_key))
        };
        let page = Page {
            next: token(next, false),
            previous: token(previous, true),
            limit: request.limit,
            as_of: request.as_of,
            order: request.order,
            place,
        };
        call.version.pagination(call.operation.op, page)
    }
}
