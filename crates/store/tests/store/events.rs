//! Events are written in the transaction of the change, in order and without gaps.

use crate::subject::{Subject, caller, cluster, entry, organization};
use futures_util::future::join_all;
use ootheca_model::{OrganizationId, Timestamp};
use ootheca_store::{Batch, Event, EventRange, Kind, Mutation, Row, What};
use std::{collections::HashSet, time::Duration};
use tokio::time::timeout;

async fn all(subject: &Subject, organization: OrganizationId) -> Vec<Event> {
    subject.store.events(organization, 0, 1000).await.unwrap()
}

fn said(events: &[Event]) -> Vec<(i64, Kind, What)> {
    events.iter().map(|event| (event.sequence, event.kind, event.what)).collect()
}

pub(crate) async fn each_change_produces_one_event(subject: &Subject) {
    let organization = organization();
    let row = cluster(organization, "c");
    let child = Row { kind: Kind::AllowlistEntry, parent: row.id.clone(), ..cluster(organization, "e") };
    let audit = vec![entry(organization)];
    let batch = Batch::by(&caller(organization)).with(Mutation::Insert(row.clone()));
    let batch = Batch { audit, ..batch.with(Mutation::Insert(child.clone())) };
    subject.store.commit(batch, Timestamp(50)).await.unwrap();
    let made = all(subject, organization).await;
    assert_eq!(said(&made), [(1, Kind::Cluster, What::Created), (2, Kind::AllowlistEntry, What::Created)]);
    assert_eq!((made[1].parent.as_str(), made[1].id.as_str()), (row.id.as_str(), child.id.as_str()));
    assert_eq!((made[0].actor.kind.as_str(), made[0].actor.name.as_str()), ("service_account", "test"));
    assert_eq!((made[0].trace_id.as_deref(), made[0].at), (Some("trace"), Timestamp(50)));

    // Internal changes produce no events, for example cached metadata and due times.
    let quiet = [
        Mutation::Insert(Row { kind: Kind::Meter, ..row.clone() }),
        Mutation::Insert(Row { kind: Kind::Setting, ..row.clone() }),
        Mutation::Insert(Row { kind: Kind::BackupBase, ..row.clone() }),
        Mutation::Insert(Row { kind: Kind::RecoveryPoint, ..row.clone() }),
        Mutation::Update(Row { revision: 1, due_at: Some(Timestamp(9)), ..row.clone() }),
        Mutation::Touch { kind: Kind::Cluster, id: row.id.clone(), revision: 2 },
    ];
    for change in quiet {
        subject.apply(change).await.unwrap();
    }
    let key = Row { kind: Kind::ApiKey, ..cluster(organization, "k") };
    let noted = Batch { quiet: true, ..Batch::server("test").with(Mutation::Insert(key)) };
    subject.store.commit(noted, Timestamp(50)).await.unwrap();
    assert_eq!(all(subject, organization).await.len(), 2);

    let other = Row { revision: 3, document: "{}".into(), ..row.clone() };
    subject.apply(Mutation::Update(other.clone())).await.unwrap();
    let ended = Row { revision: 4, ended_at: Some(Timestamp(60)), ..other };
    let end = Batch::server("test").with(Mutation::Update(ended));
    let end = end.with(Mutation::DeleteChildren { kind: Kind::AllowlistEntry, parent: row.id.clone() });
    subject.store.commit(end, Timestamp(40)).await.unwrap();
    let gone = Mutation::Delete { kind: Kind::Cluster, id: row.id.clone(), revision: 5 };
    subject.apply(gone).await.unwrap();
    let events = subject.store.events(organization, 2, 1000).await.unwrap();
    let wanted = [
        (3, Kind::Cluster, What::Changed),
        (4, Kind::Cluster, What::Deleted),
        (5, Kind::AllowlistEntry, What::Deleted),
    ];
    assert_eq!(said(&events), wanted, "a row that ended does not end again");
    assert!(events.iter().all(|event| event.at == Timestamp(50)), "times do not decrease");
    assert_eq!((events[1].actor.kind.as_str(), events[1].trace_id.as_deref()), ("system", None));
    assert_eq!(subject.store.events(organization, 2, 2).await.unwrap(), events[..2]);
}

pub(crate) async fn failed_changes_produce_no_events(subject: &Subject) {
    let organization = organization();
    let row = cluster(organization, "c");
    let batch = Batch::server("test").with(Mutation::Insert(row.clone()));
    let stale = Mutation::Update(Row { revision: 7, ..row.clone() });
    subject.store.commit(batch.with(stale), Timestamp(1)).await.unwrap_err();
    assert_eq!(all(subject, organization).await, []);
    subject.insert(&row).await;
    assert_eq!(said(&all(subject, organization).await), [(1, Kind::Cluster, What::Created)]);
}

pub(crate) async fn old_events_are_deleted(subject: &Subject) {
    let organization = organization();
    let range = async || subject.store.event_range(organization).await.unwrap();
    assert_eq!(range().await, EventRange { oldest: 1, newest: 0 });
    for at in [10, 20, 30] {
        let batch = Batch::server("test").with(Mutation::Insert(cluster(organization, "c")));
        subject.store.commit(batch, Timestamp(at)).await.unwrap();
    }
    assert_eq!(range().await, EventRange { oldest: 1, newest: 3 });
    subject.store.forget_events(Timestamp(20)).await.unwrap();
    assert_eq!(range().await, EventRange { oldest: 2, newest: 3 });
    subject.store.forget_events(Timestamp(99)).await.unwrap();
    assert_eq!(range().await, EventRange { oldest: 4, newest: 3 });
    subject.insert(&cluster(organization, "c")).await;
    assert_eq!(range().await, EventRange { oldest: 4, newest: 4 }, "numbers are never reused");
}

/// A reader that asks for the events after the last one it has seen gets all of them, regardless of the
/// writers.
pub(crate) async fn events_are_ordered_without_gaps(subject: &Subject) {
    const WRITERS: usize = 6;
    const EACH: usize = 30;
    let organization = organization();
    let other = if subject.url.starts_with("sqlite") {
        subject.store.clone()
    } else {
        ootheca_store::open(&subject.url).await.unwrap()
    };
    let writers = (0..WRITERS).map(|number| {
        let store = if number % 2 == 0 { subject.store.clone() } else { other.clone() };
        tokio::spawn(async move {
            for _ in 0..EACH {
                let batch = Batch::server("test").with(Mutation::Insert(cluster(organization, "c")));
                store.commit(batch, Timestamp(1)).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let follow = async {
        let mut seen: Vec<Event> = Vec::new();
        while seen.len() < WRITERS * EACH {
            let after = seen.last().map_or(0, |event| event.sequence);
            seen.extend(other.events(organization, after, 7).await.unwrap());
            tokio::task::yield_now().await;
        }
        seen
    };
    let seen = timeout(Duration::from_secs(120), follow).await.expect("the follower must not miss events");
    join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    let numbers: Vec<i64> = seen.iter().map(|event| event.sequence).collect();
    assert!(numbers.iter().copied().eq(1..=(WRITERS * EACH) as i64), "{numbers:?}");
    let ids: HashSet<&str> = seen.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), WRITERS * EACH);
}
