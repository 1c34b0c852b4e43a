//! Pages of lists: of rows in the store, and of lists in memory.

use crate::api::call::Call;
use ootheca_api::{
    page::{LIMIT, PageRequest, PageToken, fingerprint},
    versions::Page,
    wire::{KeysetPaginationResponse, PageQuery},
};
use ootheca_model::{Result, cluster::SortOrder};
use ootheca_store::{Position, Query, Row};

/// A page of rows. `rows` selects them; the organization, the page, and the time are set here.
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
    let list = List::read(call, page, &filters, SortOrder::Asc)?;
    let request = &list.request;
    let backward = request.token.as_ref().is_some_and(|token| token.backward);
    let after =
        request.token.as_ref().map(|token| Position { value: token.value.clone(), id: token.id.clone() });
    let mut query = Query {
        organization: Some(call.granted.organization()),
        as_of: Some(request.as_of),
        descending: (request.order == SortOrder::Desc) != backward,
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
    let more = found.len() > request.limit;
    found.truncate(request.limit);
    if backward {
        found.reverse();
    }
    let began = request.token.is_some();
    let (before, behind) = if backward { (more, began) } else { (began, more) };
    let place = |row: Option<&Row>| row.map(|row| Position::of(row, order));
    let previous = place(found.first()).filter(|_| before);
    let next = place(found.last()).filter(|_| behind);
    let pagination = list.pagination(call, previous, next, None);
    Ok((found, pagination))
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
