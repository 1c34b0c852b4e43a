//! Samples are overwritten, read by cluster and time, and deleted, and produce no events.

use crate::subject::{Subject, caller, cluster, organization};
use ootheca_model::{ClusterId, ErrorKind, Timestamp};
use ootheca_store::{Batch, Mutation, Row, SampleRow, SampleRows};

fn id(row: &Row) -> ClusterId {
    row.id.parse().unwrap()
}

fn sample(row: &Row, step_seconds: i64, starts_at: i64, document: &str) -> SampleRow {
    SampleRow { cluster: id(row), step_seconds, starts_at: Timestamp(starts_at), document: document.into() }
}

async fn keep(subject: &Subject, samples: &[SampleRow]) {
    let mut batch = Batch::server("test");
    batch.mutations = samples.iter().cloned().map(Mutation::KeepSamples).collect();
    subject.store.commit(batch, Timestamp(1)).await.unwrap();
}

/// The samples that start within `[from, to)`.
async fn found(
    subject: &Subject,
    clusters: &[&Row],
    step_seconds: i64,
    from: i64,
    to: i64,
) -> Vec<SampleRow> {
    let clusters: Vec<ClusterId> = clusters.iter().map(|row| id(row)).collect();
    let (from, to) = (Timestamp(from), Timestamp(to));
    subject.store.samples(&SampleRows { clusters: &clusters, step_seconds, from, to }).await.unwrap()
}

pub(crate) async fn samples_are_read_by_cluster_step_and_time(subject: &Subject) {
    let (one, two) = (cluster(organization(), "one"), cluster(organization(), "two"));
    subject.insert(&one).await;
    subject.insert(&two).await;
    let rows = [
        sample(&one, 10, 100, "a"),
        sample(&one, 10, 200, "b"),
        sample(&one, 120, 100, "c"),
        sample(&two, 10, 100, "größe"),
    ];
    keep(subject, &rows).await;
    assert_eq!(found(subject, &[&one], 10, 0, 1000).await, rows[..2]);
    assert_eq!(found(subject, &[&one], 10, 100, 200).await, rows[..1], "the end is not in it");
    assert_eq!(found(subject, &[&one], 120, 0, 1000).await, rows[2..3]);
    assert_eq!(found(subject, &[], 10, 0, 1000).await, []);
    let mut both = found(subject, &[&one, &two], 10, 0, 150).await;
    both.sort_by_key(|row| row.document.clone());
    assert_eq!(both, [rows[0].clone(), rows[3].clone()]);
    keep(subject, &[sample(&one, 10, 200, "over it")]).await;
    assert_eq!(found(subject, &[&one], 10, 200, 201).await, [sample(&one, 10, 200, "over it")]);
    assert_eq!(
        subject.store.event_range(one.organization).await.unwrap().newest,
        1,
        "only the cluster produces an event"
    );
}

pub(crate) async fn old_samples_are_deleted(subject: &Subject) {
    let row = cluster(organization(), "one");
    subject.insert(&row).await;
    keep(subject, &[sample(&row, 10, 100, "a"), sample(&row, 10, 200, "b"), sample(&row, 120, 100, "c")])
        .await;
    subject.store.forget_samples(10, Timestamp(200)).await.unwrap();
    assert_eq!(found(subject, &[&row], 10, 0, 1000).await, [sample(&row, 10, 200, "b")]);
    assert_eq!(found(subject, &[&row], 120, 0, 1000).await.len(), 1, "another step stays");
    let ended = Row { ended_at: Some(Timestamp(5)), ..subject.fresh(&row).await };
    let end = Batch::by(&caller(row.organization)).with(Mutation::Update(ended));
    let end = end.with(Mutation::ForgetSamples { cluster: id(&row) });
    subject.store.commit(end, Timestamp(5)).await.unwrap();
    keep(subject, &[sample(&row, 10, 300, "too late")]).await;
    for step in [10, 120] {
        assert_eq!(
            found(subject, &[&row], step, 0, 1000).await,
            [],
            "all samples are deleted and none are added again"
        );
    }
}

pub(crate) async fn samples_of_other_organizations_are_inaccessible(subject: &Subject) {
    let row = cluster(organization(), "one");
    subject.insert(&row).await;
    keep(subject, &[sample(&row, 10, 100, "a")]).await;
    for change in
        [Mutation::KeepSamples(sample(&row, 10, 100, "b")), Mutation::ForgetSamples { cluster: id(&row) }]
    {
        let batch = Batch::by(&caller(organization())).with(change);
        let error = subject.store.commit(batch, Timestamp(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    assert_eq!(found(subject, &[&row], 10, 0, 1000).await, [sample(&row, 10, 100, "a")]);
}
