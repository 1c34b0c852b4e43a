//! Lists and their pages.

use crate::subject::{Subject, cluster, organization};
use ootheca_model::{OrganizationId, Timestamp};
use ootheca_store::{Kind, Mutation, Order, Position, Query, Row};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::cmp::Ordering;
use tokio::{runtime::Handle, task::block_in_place};

const ORDERS: [Order; 3] = [Order::SortKey, Order::CreatedAt, Order::EndedAt];

async fn ids(subject: &Subject, query: &Query) -> Vec<String> {
    subject.store.list(query).await.unwrap().into_iter().map(|row| row.id).collect()
}

fn compare(order: Order, a: &Row, b: &Row) -> Ordering {
    let end = |row: &Row| row.ended_at.unwrap_or(row.created_at);
    let value = match order {
        Order::SortKey => a.sort_key.as_bytes().cmp(b.sort_key.as_bytes()),
        Order::CreatedAt => a.created_at.cmp(&b.created_at),
        Order::EndedAt => end(a).cmp(&end(b)),
    };
    value.then_with(|| a.id.cmp(&b.id))
}

pub(crate) async fn lists_support_every_order(subject: &Subject) {
    let organization = organization();
    let names = ["b", "B", "a", "_", "-", "é", "z", "Z", "1", "10", "2", "", "a b", "ab", "中", "\u{1f600}"];
    let mut rows = Vec::new();
    for (number, name) in (0_i64..).zip(names) {
        let created_at = Timestamp(number * 7 % 5 - 2);
        let ended_at = (number % 3 == 0).then_some(Timestamp(10 - number));
        rows.push(Row { created_at, ended_at, ..cluster(organization, name) });
        subject.insert(rows.last().unwrap()).await;
    }
    for order in ORDERS {
        rows.sort_by(|a, b| compare(order, a, b));
        let query = Query { organization: Some(organization), order, ..Query::all(Kind::Cluster) };
        let mut wanted: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        assert_eq!(ids(subject, &query).await, wanted);
        wanted.reverse();
        assert_eq!(ids(subject, &Query { descending: true, ..query }).await, wanted);
    }
    let bad = Some(Position { value: "x".into(), id: String::new() });
    let query = Query { order: Order::CreatedAt, after: bad, ..Query::all(Kind::Cluster) };
    assert!(subject.store.list(&query).await.is_err());
}

pub(crate) async fn lists_support_every_filter(subject: &Subject) {
    let organizations = [organization(), organization()];
    let row = |organization, parent: &str, created_at, ended| Row {
        parent: parent.into(),
        created_at: Timestamp(created_at),
        ended_at: ended,
        ..cluster(organization, "c")
    };
    let rows = [
        row(organizations[0], "p", 1, None),
        row(organizations[0], "p", 2, Some(Timestamp(3))),
        row(organizations[0], "q", 3, None),
        row(organizations[1], "p", 4, None),
    ];
    for row in &rows {
        subject.insert(row).await;
    }
    let all = Query { order: Order::CreatedAt, ..Query::all(Kind::Cluster) };
    let of = |index: usize| Query { organization: Some(organizations[index]), ..all.clone() };
    let parent = |parent: &str| Some(parent.to_owned());
    let mut many: Vec<String> = (0..40_000).map(|number| format!("missing {number}")).collect();
    many.push(rows[1].id.clone());
    many.push(rows[3].id.clone());
    let cases = [
        (all.clone(), vec![0, 1, 2, 3]),
        (of(0), vec![0, 1, 2]),
        (Query { parent: parent("p"), ..all.clone() }, vec![0, 1, 3]),
        (Query { parent: parent("p"), ..of(0) }, vec![0, 1]),
        (Query { active_only: true, ..of(0) }, vec![0, 2]),
        (Query { as_of: Some(Timestamp(2)), ..all.clone() }, vec![0, 1]),
        (Query { ids: Some(many.clone()), ..all.clone() }, vec![1, 3]),
        (Query { ids: Some(many), ..of(1) }, vec![3]),
        (Query { ids: Some(Vec::new()), ..all.clone() }, vec![]),
        (Query { ids: Some(vec![rows[2].id.clone()]), parents: vec!["p".into()], ..of(0) }, vec![0, 1, 2]),
        (Query { ids: Some(Vec::new()), parents: vec!["q".into(), "r".into()], ..all.clone() }, vec![2]),
        (Query { limit: 2, descending: true, ..all.clone() }, vec![3, 2]),
        (Query { limit: 0, ..all.clone() }, vec![]),
        (Query { kind: Kind::ApiKey, ..all }, vec![]),
    ];
    for (query, wanted) in cases {
        let wanted: Vec<String> = wanted.into_iter().map(|index| rows[index].id.clone()).collect();
        assert_eq!(ids(subject, &query).await, wanted, "{:?}", Query { ids: None, ..query });
    }
}

/// A list that is read page by page while rows are added.
#[derive(Clone, Debug)]
struct Reading {
    /// The sort keys, creation times, and end times of the initial rows.
    rows: Vec<(String, i64, Option<i64>)>,
    /// Rows that are added after each page. They are younger.
    added: Vec<(String, Option<i64>)>,
    order: Order,
    descending: bool,
    active_only: bool,
    page: usize,
}

const AS_OF: i64 = 6;

fn readings() -> impl Strategy<Value = Reading> {
    let name = "[abB_é]{0,2}";
    let end = || option::of(0..12_i64);
    let rows = vec((name, 0..=AS_OF, end()), 0..20);
    let added = vec((name, end()), 0..20);
    let order = prop_oneof![Just(Order::SortKey), Just(Order::CreatedAt), Just(Order::EndedAt)];
    (rows, added, order, any::<bool>(), any::<bool>(), 1..6_usize).prop_map(
        |(rows, added, order, descending, active_only, page)| Reading {
            rows,
            added,
            order,
            descending,
            active_only,
            page,
        },
    )
}

pub(crate) async fn pages_contain_each_row_once_while_rows_are_added(subject: &Subject) {
    let config = Config { cases: 30, failure_persistence: None, ..Config::default() };
    block_in_place(|| {
        let read = |reading| {
            Handle::current().block_on(check(subject, reading));
            Ok(())
        };
        TestRunner::new(config).run(&readings(), read).unwrap();
    });
}

async fn check(subject: &Subject, reading: Reading) {
    let organization = organization();
    let mut rows = Vec::new();
    for (name, created_at, ended_at) in &reading.rows {
        rows.push(row(organization, name, *created_at, *ended_at));
        subject.insert(rows.last().unwrap()).await;
    }
    rows.retain(|row| !reading.active_only || row.ended_at.is_none());
    rows.sort_by(|a, b| compare(reading.order, a, b));
    if reading.descending {
        rows.reverse();
    }
    let mut query = Query {
        organization: Some(organization),
        order: reading.order,
        descending: reading.descending,
        active_only: reading.active_only,
        as_of: Some(Timestamp(AS_OF)),
        limit: reading.page,
        ..Query::all(Kind::Cluster)
    };
    let mut added = reading.added.iter();
    let mut seen = Vec::new();
    loop {
        let page = subject.store.list(&query).await.unwrap();
        query.after = page.last().map(|row| Position::of(row, reading.order));
        let last = page.len() < reading.page;
        seen.extend(page.into_iter().map(|row| row.id));
        if last {
            break;
        }
        if let Some((name, ended_at)) = added.next() {
            subject.insert(&row(organization, name, AS_OF + 1, *ended_at)).await;
        }
    }
    assert_eq!(seen, rows.into_iter().map(|row| row.id).collect::<Vec<_>>());
}

fn row(organization: OrganizationId, name: &str, created_at: i64, ended_at: Option<i64>) -> Row {
    Row {
        created_at: Timestamp(created_at),
        ended_at: ended_at.map(Timestamp),
        ..cluster(organization, name)
    }
}

/// So a list can start at a value without knowing the IDs of its rows.
pub(crate) async fn a_position_without_an_id_is_before_the_rows_with_its_value(subject: &Subject) {
    let mut rows = Vec::new();
    for (parent, name) in [("1", "1"), ("1", "2"), ("2", "2"), ("1", "3")] {
        rows.push(Row { parent: parent.to_owned(), ..cluster(organization(), name) });
        subject.insert(rows.last().unwrap()).await;
    }
    for (value, descending, expected) in
        [("2", false, vec![1, 3]), ("2", true, vec![0]), ("0", true, vec![]), ("4", true, vec![3, 1, 0])]
    {
        let after = Some(Position { value: value.to_owned(), id: String::new() });
        let parent = Some("1".to_owned());
        let query = Query { parent, descending, after, ..Query::all(Kind::Cluster) };
        let expected: Vec<String> = expected.into_iter().map(|index: usize| rows[index].id.clone()).collect();
        assert_eq!(ids(subject, &query).await, expected, "{value} {descending}");
    }
}

pub(crate) async fn revisions_list_active_rows(subject: &Subject) {
    let rows = ["a", "b", "c"].map(|name| cluster(organization(), name));
    for row in &rows {
        subject.insert(row).await;
    }
    let folder = Row { kind: Kind::Folder, ..cluster(organization(), "d") };
    subject.insert(&folder).await;
    let revisions = async || {
        let mut found = subject.store.revisions(Kind::Cluster).await.unwrap();
        found.sort();
        found
    };
    let expected = |wanted: &[(usize, i64)]| {
        let mut pairs: Vec<(String, i64)> =
            wanted.iter().map(|(place, revision)| (rows[*place].id.clone(), *revision)).collect();
        pairs.sort();
        pairs
    };
    assert_eq!(revisions().await, expected(&[(0, 1), (1, 1), (2, 1)]));
    subject.apply(Mutation::Update(subject.fresh(&rows[1]).await)).await.unwrap();
    let ended = Row { ended_at: Some(Timestamp(2)), ..subject.fresh(&rows[2]).await };
    subject.apply(Mutation::Update(ended)).await.unwrap();
    assert_eq!(revisions().await, expected(&[(0, 1), (1, 2)]));
}

pub(crate) async fn due_rows_are_sorted_by_due_time(subject: &Subject) {
    let organization = organization();
    assert_eq!(subject.store.next_due(Kind::Cluster).await.unwrap(), None);
    let mut rows = Vec::new();
    for due_at in [Some(30), None, Some(10), Some(20)] {
        rows.push(Row { due_at: due_at.map(Timestamp), ..cluster(organization, "c") });
        subject.insert(rows.last().unwrap()).await;
    }
    let due = async |now, limit| subject.store.due(Kind::Cluster, Timestamp(now), limit).await.unwrap();
    let ids = |wanted: &[usize]| wanted.iter().map(|index| rows[*index].id.clone()).collect::<Vec<_>>();
    assert_eq!(due(9, usize::MAX).await, ids(&[]));
    assert_eq!(due(20, usize::MAX).await, ids(&[2, 3]));
    assert_eq!(due(99, 2).await, ids(&[2, 3]));
    assert_eq!(due(99, usize::MAX).await, ids(&[2, 3, 0]));
    assert_eq!(subject.store.next_due(Kind::Cluster).await.unwrap(), Some(Timestamp(10)));
    assert_eq!(subject.store.next_due(Kind::ApiKey).await.unwrap(), None);
    let settled = Row { due_at: None, ..subject.fresh(&rows[2]).await };
    subject.apply(Mutation::Update(settled)).await.unwrap();
    assert_eq!(subject.store.next_due(Kind::Cluster).await.unwrap(), Some(Timestamp(20)));
}
