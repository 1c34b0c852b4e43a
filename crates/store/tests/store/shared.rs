//! Several writers, several servers, and restarts.

use crate::subject::{Subject, cluster, entry, organization};
use futures_util::future::join_all;
use ootheca_model::{Error, ErrorKind, Result, Timestamp};
use ootheca_store::{AuditQuery, Batch, Kind, Lease, Mutation, Query, Row, Store};
use std::{collections::BTreeSet, time::Duration};

const TTL: Duration = Duration::from_micros(10);

async fn take(subject: &Subject, holder: &str, renew: Option<i64>, now: i64) -> Option<i64> {
    let lease = subject.store.lease("work", holder, renew, TTL, Timestamp(now)).await.unwrap();
    lease.map(|lease| {
        assert_eq!((lease.name.as_str(), lease.holder.as_str()), ("work", holder));
        lease.fence
    })
}

fn lease(holder: &str, fence: i64) -> Lease {
    Lease { name: "work".into(), holder: holder.into(), fence }
}

pub(crate) async fn leases_have_one_holder(subject: &Subject) {
    assert_eq!(take(subject, "a", Some(1), 0).await, None, "nothing to renew yet");
    assert_eq!(take(subject, "a", None, 0).await, Some(1));
    assert_eq!(take(subject, "b", None, 9).await, None);
    assert_eq!(take(subject, "a", Some(1), 9).await, Some(1));
    assert_eq!(take(subject, "b", None, 18).await, None, "it was renewed");
    assert_eq!(take(subject, "a", Some(1), 25).await, Some(1), "expired, but not taken by another holder");
    assert_eq!(take(subject, "b", None, 35).await, Some(2));
    assert_eq!(take(subject, "a", Some(1), 36).await, None);
    assert_eq!(take(subject, "b", Some(1), 36).await, None, "an older number of its own");
    assert_eq!(take(subject, "b", None, 36).await, Some(3), "the same holder after a restart");
    subject.store.release(&lease("b", 2)).await.unwrap();
    assert_eq!(take(subject, "a", None, 37).await, None, "an old lease releases nothing");
    subject.store.release(&lease("b", 3)).await.unwrap();
    assert_eq!(take(subject, "b", Some(3), 38).await, None, "the lease was released");
    assert_eq!(take(subject, "a", None, 38).await, Some(4));
    let other = subject.store.lease("other", "b", None, TTL, Timestamp(38)).await.unwrap();
    assert_eq!(other.map(|lease| lease.fence), Some(1));

    let rivals = (0..10).map(|number| {
        let holder = format!("rival {number}");
        async move { take(subject, &holder, None, 1000).await }
    });
    assert_eq!(join_all(rivals).await.into_iter().flatten().collect::<Vec<_>>(), [5]);
}

pub(crate) async fn lost_leases_fence_off_their_holder(subject: &Subject) {
    let organization = organization();
    let write = async |lease: Lease| {
        let batch = Batch { fence: Some(lease), ..Batch::server("test") };
        subject.store.commit(batch.with(Mutation::Insert(cluster(organization, "c"))), Timestamp(1)).await
    };
    let stale = async |lease: Lease| {
        let error = write(lease).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
        assert!(error.message().contains("lease"), "{error}");
    };
    stale(lease("a", 1)).await;
    take(subject, "a", None, 0).await;
    write(lease("a", 1)).await.unwrap();
    stale(lease("a", 2)).await;
    stale(lease("b", 1)).await;
    take(subject, "b", None, 99).await;
    stale(lease("a", 1)).await;
    write(lease("b", 2)).await.unwrap();
    subject.store.release(&lease("b", 2)).await.unwrap();
    stale(lease("b", 2)).await;
    assert_eq!(subject.store.list(&Query::all(Kind::Cluster)).await.unwrap().len(), 2);
}

/// Increments the number in a row, and retries after conflicts.
async fn increment(store: &dyn Store, id: &str) -> Result<()> {
    loop {
        let row = store.get(Kind::Cluster, id).await?.ok_or_else(|| Error::not_found("row"))?;
        let number: u32 = row.document.parse().unwrap();
        let (document, organization) = ((number + 1).to_string(), row.organization);
        let batch = Batch::server("test").with(Mutation::Update(Row { document, ..row }));
        match store.commit(Batch { audit: vec![entry(organization)], ..batch }, Timestamp(5)).await {
            Err(error) if error.kind() == ErrorKind::Stale => {}
            result => return result.map(|_| ()),
        }
    }
}

pub(crate) async fn concurrent_changes_are_not_lost(subject: &Subject) {
    let organization = organization();
    let counters = [(); 10].map(|()| Row { document: "0".into(), ..cluster(organization, "counter") });
    for row in &counters {
        subject.insert(row).await;
    }
    let tasks = (0..200).map(|number| {
        let (store, id) = (subject.store.clone(), counters[number % counters.len()].id.clone());
        tokio::spawn(async move { increment(&*store, &id).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    for row in &counters {
        let row = subject.fresh(row).await;
        assert_eq!((row.document.as_str(), row.revision), ("20", 21));
    }
}

pub(crate) async fn many_rows_are_inserted_concurrently(subject: &Subject) {
    let organization = organization();
    let tasks = (0..200).map(|_| {
        let batch = Batch::server("test").with(Mutation::Insert(cluster(organization, "c")));
        let batch = Batch { audit: vec![entry(organization)], ..batch };
        let store = subject.store.clone();
        tokio::spawn(async move { store.commit(batch, Timestamp(1000)).await.unwrap()[0].created_at })
    });
    let mut times = BTreeSet::new();
    for task in tasks.collect::<Vec<_>>() {
        times.insert(task.await.unwrap());
    }
    assert_eq!(times, (1000..1200).map(Timestamp).collect());
    assert_eq!(subject.store.list(&Query::all(Kind::Cluster)).await.unwrap().len(), 200);
    let log = AuditQuery { organization, starting_from: None, descending: false, limit: 1000 };
    let log = subject.store.audit(&log).await.unwrap();
    assert!(log.iter().map(|entry| entry.created_at).eq(times));
}

pub(crate) async fn everything_persists_after_reopening(subject: &Subject) {
    let organization = organization();
    let row = cluster(organization, "c");
    let audit = vec![entry(organization)];
    let batch = Batch { audit, ..Batch::server("test").with(Mutation::Insert(row.clone())) };
    // A second store on the same database, which is dropped before the first one reads again.
    let other = ootheca_store::open(&subject.url).await.unwrap();
    other.commit(batch, Timestamp(3)).await.unwrap();
    let held = other.lease("work", "a", None, TTL, Timestamp(0)).await.unwrap();
    drop(other);
    let again = ootheca_store::open(&subject.url).await.unwrap();
    for store in [&again, &subject.store] {
        assert_eq!(store.get(row.kind, &row.id).await.unwrap(), Some(Row { revision: 1, ..row.clone() }));
        let log = AuditQuery { organization, starting_from: None, descending: false, limit: 9 };
        assert_eq!(store.audit(&log).await.unwrap().len(), 1);
    }
    assert_eq!(again.lease("work", "a", Some(1), TTL, Timestamp(1)).await.unwrap(), held);
}

pub(crate) async fn concurrent_starts_migrate_once(subject: &Subject) {
    let tables = [
        "entries",
        "audit",
        "audit_outcomes",
        "audit_heads",
        "events",
        "event_heads",
        "leases",
        "samples",
        "migrations",
    ];
    for table in tables {
        subject.run(&format!("DROP TABLE {table}")).await;
    }
    let opened = join_all((0..6).map(|_| ootheca_store::open(&subject.url))).await;
    for store in opened {
        store.unwrap_or_else(|error| panic!("{}", error.chain()));
    }
    subject.insert(&cluster(organization(), "c")).await;
}
