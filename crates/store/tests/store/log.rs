//! The audit log.

use crate::subject::{Subject, entry, organization};
use ootheca_model::{
    ClusterId, OrganizationId, Timestamp,
    audit::{AuditEntry, INTERRUPTED},
};
use ootheca_store::{AuditQuery, Batch};
use uuid::Uuid;

async fn append(subject: &Subject, entries: Vec<AuditEntry>, now: i64) -> Vec<AuditEntry> {
    let batch = Batch { audit: entries, ..Batch::server("test") };
    subject.store.commit(batch, Timestamp(now)).await.unwrap()
}

async fn read(
    subject: &Subject,
    organization: OrganizationId,
    (from, descending, limit): (i64, bool, usize),
) -> Vec<AuditEntry> {
    let starting_from = Some(Timestamp(from));
    subject.store.audit(&AuditQuery { organization, starting_from, descending, limit }).await.unwrap()
}

fn times(entries: &[AuditEntry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.created_at.0).collect()
}

pub(crate) async fn entries_are_strictly_ordered(subject: &Subject) {
    let (first, second) = (organization(), organization());
    let written = append(subject, vec![entry(first), entry(second), entry(first)], 100).await;
    assert_eq!(times(&written), [100, 100, 101]);
    // The clock may stand still or go backwards, but the times in the log increase.
    assert_eq!(times(&append(subject, vec![entry(first)], 50).await), [102]);
    let full = AuditEntry {
        cluster: Some(ClusterId(Uuid::new_v4())),
        user_email: Some("a@example.com".into()),
        session_id: Some("session".into()),
        ip_address: None,
        error: Some("refused".into()),
        ..entry(first)
    };
    let last = append(subject, vec![full.clone()], 500).await;
    assert_eq!(last, [AuditEntry { created_at: Timestamp(500), ..full }]);

    let all = AuditQuery { organization: first, starting_from: None, descending: false, limit: 10 };
    let ascending = subject.store.audit(&all).await.unwrap();
    assert_eq!(times(&ascending), [100, 101, 102, 500]);
    assert_eq!(ascending[3], last[0]);
    let descending = subject.store.audit(&AuditQuery { descending: true, ..all }).await.unwrap();
    assert_eq!(times(&descending), [500, 102, 101, 100]);
    // Both ends are inclusive.
    assert_eq!(times(&read(subject, first, (101, false, 2)).await), [101, 102]);
    assert_eq!(times(&read(subject, first, (101, true, 9)).await), [101, 100]);
    assert_eq!(times(&read(subject, first, (501, false, 9)).await), [0_i64; 0]);
    assert_eq!(times(&read(subject, first, (0, false, 0)).await), [0_i64; 0]);
}

pub(crate) async fn entries_with_equal_times_are_on_one_page(subject: &Subject) {
    let organization = organization();
    let entries = (0..6).map(|_| entry(organization)).collect();
    append(subject, entries, 10).await;
    // The store never writes the same time twice, but a log that was merged or moved might contain
    // duplicates.
    subject.run("UPDATE audit SET created_at = 12 WHERE created_at BETWEEN 11 AND 13").await;
    assert_eq!(times(&read(subject, organization, (0, false, 2)).await), [10, 12, 12, 12]);
    assert_eq!(times(&read(subject, organization, (0, false, 4)).await), [10, 12, 12, 12]);
    assert_eq!(times(&read(subject, organization, (0, false, 5)).await), [10, 12, 12, 12, 14]);
    assert_eq!(times(&read(subject, organization, (99, true, 3)).await), [15, 14, 12, 12, 12]);
    assert_eq!(times(&read(subject, organization, (12, true, 1)).await), [12, 12, 12]);
    let page = read(subject, organization, (12, false, 1)).await;
    let mut ids: Vec<Uuid> = page.iter().map(|entry| entry.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

pub(crate) async fn interrupted_entries_are_completed_once(subject: &Subject) {
    let organization = organization();
    let interrupted = || AuditEntry { error: Some(INTERRUPTED.into()), ..entry(organization) };
    let entries = vec![interrupted(), interrupted(), entry(organization)];
    let [good, bad, done] = &append(subject, entries, 10).await[..] else { panic!("three entries") };
    let store = &subject.store;
    store.complete_audit(good.id, "{\"a\":1}", None).await.unwrap();
    store.complete_audit(bad.id, "{}", Some("it broke")).await.unwrap();
    for id in [good.id, bad.id, done.id, Uuid::new_v4()] {
        store.complete_audit(id, "again", Some("again")).await.unwrap_err();
    }
    let wanted = [
        AuditEntry { payload: "{\"a\":1}".into(), error: None, ..good.clone() },
        AuditEntry { error: Some("it broke".into()), ..bad.clone() },
        done.clone(),
    ];
    assert_eq!(read(subject, organization, (0, false, 9)).await, wanted);
}
