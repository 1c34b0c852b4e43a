//! Rows are changed by atomic batches.

use crate::subject::{Subject, caller, cluster, entry, organization};
use ootheca_model::{ErrorKind, Timestamp};
use ootheca_store::{AuditQuery, Batch, Changed, Kind, Mutation, Row};
use tokio::sync::broadcast::error::TryRecvError;

fn delete(row: &Row) -> Mutation {
    Mutation::Delete { kind: row.kind, id: row.id.clone(), revision: row.revision }
}

fn touch(row: &Row) -> Mutation {
    Mutation::Touch { kind: row.kind, id: row.id.clone(), revision: row.revision }
}

pub(crate) async fn rows_are_read_as_written(subject: &Subject) {
    let row = Row {
        parent: "parent".into(),
        unique_key: Some("key".into()),
        alias: Some("alias".into()),
        due_at: Some(Timestamp(-5)),
        created_at: Timestamp(i64::MIN),
        updated_at: Timestamp(i64::MAX),
        ended_at: Some(Timestamp(7)),
        document: "{\"text\":\"'\\\" ☃ %s $1 ?\"}".into(),
        ..cluster(organization(), "näme")
    };
    assert_eq!(subject.get(&row).await, None);
    subject.insert(&row).await;
    let written = Row { revision: 1, ..row.clone() };
    assert_eq!(subject.get(&row).await.as_ref(), Some(&written));
    assert_eq!(subject.store.by_unique_key(Kind::Cluster, "key").await.unwrap().as_ref(), Some(&written));
    assert_eq!(subject.store.by_alias(Kind::Cluster, "alias").await.unwrap().as_ref(), Some(&written));
    assert_eq!(subject.store.get(Kind::ApiKey, &row.id).await.unwrap(), None);

    let changed = Row { document: "{}".into(), due_at: None, alias: None, parent: "p".into(), ..written };
    subject.apply(Mutation::Update(changed.clone())).await.unwrap();
    let changed = Row { revision: 2, ..changed };
    assert_eq!(subject.get(&row).await.as_ref(), Some(&changed));
    assert_eq!(subject.store.by_alias(Kind::Cluster, "alias").await.unwrap(), None);

    subject.apply(touch(&changed)).await.unwrap();
    let touched = subject.fresh(&row).await;
    assert_eq!(touched, Row { revision: 3, ..changed });
    subject.apply(delete(&touched)).await.unwrap();
    assert_eq!(subject.get(&row).await, None);
}

pub(crate) async fn unique_keys_are_enforced_until_released(subject: &Subject) {
    let organization = organization();
    let keys = |key: &str, alias: &str| Row {
        unique_key: Some(key.into()),
        alias: Some(alias.into()),
        ..cluster(organization, key)
    };
    let first = keys("k", "a");
    subject.insert(&first).await;
    let same_id = Row { id: first.id.clone(), ..keys("other", "other") };
    for taken in [keys("k", "b"), keys("l", "a"), same_id] {
        let error = subject.apply(Mutation::Insert(taken)).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Exists, "cluster already exists"));
    }
    subject.insert(&Row { kind: Kind::Person, ..keys("k", "a") }).await;

    let second = keys("l", "b");
    subject.insert(&second).await;
    let second = subject.fresh(&second).await;
    let renamed = Row { unique_key: Some("k".into()), ..second };
    let error = subject.apply(Mutation::Update(renamed.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);

    let first = subject.fresh(&first).await;
    subject.apply(Mutation::Update(Row { unique_key: None, alias: None, ..first })).await.unwrap();
    subject.apply(Mutation::Update(renamed)).await.unwrap();
    subject.insert(&keys("m", "a")).await;
}

pub(crate) async fn stale_changes_are_rejected(subject: &Subject) {
    let row = cluster(organization(), "c");
    subject.insert(&row).await;
    let read = subject.fresh(&row).await;
    subject.apply(Mutation::Update(read.clone())).await.unwrap();
    let missing = Row { revision: 1, ..cluster(row.organization, "missing") };
    for old in [read, missing] {
        for change in [Mutation::Update(old.clone()), delete(&old), touch(&old)] {
            assert_eq!(subject.apply(change).await.unwrap_err().kind(), ErrorKind::Stale);
        }
    }
    assert_eq!(subject.fresh(&row).await.revision, 2);
}

pub(crate) async fn batches_are_atomic(subject: &Subject) {
    let organization = organization();
    let taken = Row { unique_key: Some("taken".into()), ..cluster(organization, "taken") };
    subject.insert(&taken).await;
    // Sent together, so that SQLite runs failures and successes in one transaction.
    let attempts = (0..40).map(|number| {
        let fails = number % 2 == 0;
        let row = cluster(organization, "new");
        let last = Row { unique_key: fails.then(|| "taken".into()), ..cluster(organization, "last") };
        let batch = Batch::server("test").with(Mutation::Insert(row.clone())).with(Mutation::Insert(last));
        let batch = Batch { audit: vec![entry(organization)], ..batch };
        let store = subject.store.clone();
        tokio::spawn(async move { (fails, row, store.commit(batch, Timestamp(9)).await) })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        let (fails, row, result) = attempt.await.unwrap();
        assert_eq!(result.err().map(|error| error.kind()), fails.then_some(ErrorKind::Exists));
        assert_eq!(subject.get(&row).await.is_none(), fails);
    }
    let log = AuditQuery { organization, starting_from: None, descending: false, limit: 100 };
    assert_eq!(subject.store.audit(&log).await.unwrap().len(), 20);
}

pub(crate) async fn callers_access_only_their_organization(subject: &Subject) {
    let (mine, theirs) = (organization(), organization());
    let caller = caller(mine);
    let foreign = Row { parent: "parent".into(), ..cluster(theirs, "c") };
    subject.insert(&foreign).await;
    let foreign = subject.fresh(&foreign).await;
    for change in [
        Mutation::Insert(cluster(theirs, "d")),
        Mutation::Update(foreign.clone()),
        Mutation::Update(Row { organization: mine, ..foreign.clone() }),
        delete(&foreign),
        touch(&foreign),
        Mutation::DeleteChildren { kind: Kind::Cluster, parent: "parent".into() },
    ] {
        let result = subject.store.commit(Batch::by(&caller).with(change.clone()), Timestamp(1)).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Internal, "{change:?}");
    }
    assert_eq!(subject.fresh(&foreign).await, foreign);
    let own = Batch::by(&caller).with(Mutation::Insert(cluster(mine, "c")));
    subject.store.commit(own, Timestamp(1)).await.unwrap();
}

pub(crate) async fn hints_are_sent_after_the_commit(subject: &Subject) {
    let mut hints = subject.store.changes();
    let organization = organization();
    let children = [(); 2].map(|()| Row { parent: "p".into(), ..cluster(organization, "child") });
    let other = Row { parent: "q".into(), ..cluster(organization, "other") };
    let hint = |row: &Row| Changed { kind: row.kind, id: row.id.clone(), parent: row.parent.clone() };
    for row in children.iter().chain([&other]) {
        subject.insert(row).await;
        assert_eq!(hints.recv().await.unwrap(), hint(row));
    }
    let read = subject.fresh(&other).await;
    subject.apply(touch(&read)).await.unwrap();
    subject.apply(delete(&read)).await.unwrap_err();
    assert_eq!(hints.try_recv(), Err(TryRecvError::Empty));

    subject.apply(Mutation::DeleteChildren { kind: Kind::Cluster, parent: "p".into() }).await.unwrap();
    let mut gone = [hints.recv().await.unwrap(), hints.recv().await.unwrap()].map(|hint| hint.id);
    let mut wanted = children.clone().map(|row| row.id);
    gone.sort();
    wanted.sort();
    assert_eq!(gone, wanted);
    assert_eq!(subject.get(&children[0]).await, None);
    let read = subject.fresh(&other).await;
    subject.apply(delete(&read)).await.unwrap();
    assert_eq!(hints.recv().await.unwrap(), hint(&other));
}

/// Only for stores that have stamps, because no other server writes to them.
pub(crate) async fn stamps_change_with_every_change(subject: &Subject) {
    let row = cluster(organization(), "a");
    let stamps = || [Kind::Cluster, Kind::Folder].map(|kind| subject.store.stamp(kind));
    let mut seen = vec![stamps()];
    subject.insert(&row).await;
    seen.push(stamps());
    for change in [Mutation::Update, |row| touch(&row), |row| delete(&row)] {
        subject.apply(change(subject.fresh(&row).await)).await.unwrap();
        seen.push(stamps());
    }
    assert!(seen.iter().all(|stamps| stamps[1] == seen[0][1]), "the stamp of another kind changed: {seen:?}");
    if let [Some(_), _] = seen[0] {
        let [one, others] = [0, 1].map(|from| &seen[from..]);
        assert!(one.iter().zip(others).all(|(before, after)| before[0] != after[0]), "{seen:?}");
    }
}

pub(crate) async fn validation_returns_the_error_of_the_commit_and_keeps_nothing(subject: &Subject) {
    let row = cluster(organization(), "v");
    let mut hints = subject.store.changes();
    let batch = || {
        let mut batch = Batch::server("test").with(Mutation::Insert(row.clone()));
        batch.audit.push(entry(row.organization));
        batch
    };
    subject.store.validate(batch(), Timestamp(1)).await.unwrap();
    assert_eq!(subject.get(&row).await, None);
    assert_eq!(hints.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(subject.store.event_range(row.organization).await.unwrap().newest, 0);
    let query =
        AuditQuery { organization: row.organization, starting_from: None, descending: false, limit: 10 };
    assert_eq!(subject.store.audit(&query).await.unwrap(), []);
    subject.store.commit(batch(), Timestamp(2)).await.unwrap();
    let error = subject.store.validate(batch(), Timestamp(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    let written = subject.fresh(&row).await;
    let stale = Batch::server("test").with(delete(&row));
    assert_eq!(subject.store.validate(stale, Timestamp(4)).await.unwrap_err().kind(), ErrorKind::Stale);
    subject.store.validate(Batch::server("test").with(delete(&written)), Timestamp(5)).await.unwrap();
    assert_eq!(subject.get(&row).await, Some(written));
}
