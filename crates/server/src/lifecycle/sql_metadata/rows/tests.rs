use super::*;
use ootheca_store::Batch;
use proptest::{collection::btree_map, prelude::*};
use uuid::Uuid;

/// As many users as a cluster can have roles.
const MANY: usize = 10_000;

fn empty() -> SqlMetadata {
    SqlMetadata {
        organization: OrganizationId(Uuid::from_u128(1)),
        cluster: ClusterId(Uuid::from_u128(2)),
        logins: Vec::new(),
        databases: Vec::new(),
    }
}

fn login(name: &str, salt: usize) -> Login {
    // As long as the verifiers of PostgreSQL.
    let verifier = format!("SCRAM-SHA-256$4096:{salt:024}${:0>44}:{:0>44}", "stored", "server");
    Login { name: name.to_owned(), secret: Secret::Scram(verifier) }
}

fn database(name: &str, tables: Option<i64>) -> DatabaseMetadata {
    DatabaseMetadata { name: name.to_owned(), tables }
}

/// Metadata with `MANY` users and a database.
fn many() -> SqlMetadata {
    let logins = (0..MANY).map(|n| login(&format!("user-{n:05}"), n)).collect();
    SqlMetadata { logins, databases: vec![database("defaultdb", None)], ..empty() }
}

/// A store in a temporary directory, and the metadata in it.
struct Bench {
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        Self { store: ootheca_store::open(&url).await.expect("a store"), _folder: folder }
    }

    async fn read(&self) -> Option<CachedMetadata> {
        let id = empty().cluster.to_string();
        let header = documents::find::<Header>(&*self.store, &id).await.expect("read")?;
        Some(read(&*self.store, header).await.expect("read"))
    }

    async fn commit(&self, mutations: Vec<Mutation>) {
        let batch = Batch { mutations, ..Batch::server("test") };
        self.store.commit(batch, Timestamp(7)).await.expect("committed");
    }

    /// Makes `after` the cached metadata. Returns the changes.
    async fn write(&self, after: &SqlMetadata) -> Vec<Mutation> {
        let before = self.read().await;
        let changes = changes(before.as_ref(), after, Timestamp(7)).expect("changes");
        self.commit(changes.clone()).await;
        let read = self.read().await.expect("metadata");
        assert_eq!(read.value, *after);
        match CachedMetadata::after(before.as_ref(), after.clone(), &changes) {
            Some(next) => assert_eq!(next, read),
            None => assert!(changes.is_empty()),
        }
        changes
    }

    async fn rows(&self, kind: Kind) -> Vec<Row> {
        self.store.list(&Query::all(kind)).await.expect("rows")
    }

    /// Writes the metadata in one document, like earlier versions.
    async fn write_whole(&self, metadata: &SqlMetadata) {
        let document = serde_json::json!({
            "organization": metadata.organization,
            "cluster": metadata.cluster,
            "logins": metadata.logins,
            "databases": metadata.databases,
            "taken_at": Timestamp(7),
        });
        let id = metadata.cluster.to_string();
        let row =
            documents::row(Kind::SqlCatalog, id.clone(), metadata.organization, String::new(), Timestamp(7));
        self.commit(vec![Mutation::Insert(Row { parent: id, document: document.to_string(), ..row })]).await;
    }
}

/// The bytes of the documents that changes write.
fn bytes(changes: &[Mutation]) -> usize {
    let document = |change: &Mutation| match change {
        Mutation::Insert(row) | Mutation::Update(row) => row.document.len(),
        _ => 0,
    };
    changes.iter().map(document).sum()
}

#[tokio::test]
async fn a_change_of_one_of_many_users_writes_the_header_and_one_bucket() {
    let bench = Bench::new().await;
    let all = many();
    let whole = serde_json::to_string(&all.logins).expect("JSON").len();
    assert!(whole > 1_500_000, "{whole}");
    bench.write(&all).await;

    let mut created = all.clone();
    created.logins.push(login("user-one-more", 1));
    let mut changed = created.clone();
    changed.logins[MANY / 2] = login("user-05000", MANY);
    let mut counted = changed.clone();
    counted.databases[0].tables = Some(3);
    for (what, metadata) in
        [("created", &created), ("changed", &changed), ("counted", &counted), ("dropped", &all)]
    {
        let changes = bench.write(metadata).await;
        let limit = if what == "dropped" { 4 } else { 2 };
        println!("{what}: {} of {whole} bytes in {} rows", bytes(&changes), changes.len());
        assert!(changes.len() <= limit && bytes(&changes) < limit * 16_384, "{what}: {}", bytes(&changes));
    }
    assert!(changes(bench.read().await.as_ref(), &all, Timestamp(8)).expect("changes").is_empty());
}

#[tokio::test]
async fn metadata_of_an_earlier_version_is_read_and_split_by_the_next_change() {
    let bench = Bench::new().await;
    let mut metadata = SqlMetadata { logins: vec![login("a", 1), login("b", 2)], ..empty() };
    metadata.databases = vec![database("defaultdb", Some(4)), database("shop", None)];
    bench.write_whole(&metadata).await;
    let before = bench.read().await.expect("metadata");
    assert_eq!(before.value, metadata);
    assert!(changes(Some(&before), &metadata, Timestamp(8)).expect("changes").is_empty());

    metadata.logins.push(login("c", 3));
    bench.write(&metadata).await;
    let header = bench.rows(Kind::SqlCatalog).await.remove(0).document;
    assert!(!header.contains("SCRAM") && !header.contains("shop"), "{header}");
    assert_eq!(bench.rows(Kind::SqlCatalogBucket).await.len(), 5);

    // An earlier version that shares the store has written everything again.
    let header = bench.store.get(Kind::SqlCatalog, &metadata.cluster.to_string()).await.expect("read");
    bench.commit(vec![documents::delete(&header.expect("a header"))]).await;
    metadata.logins.remove(0);
    bench.write_whole(&metadata).await;
    assert_eq!(bench.read().await.expect("metadata").value, metadata);
    metadata.databases.pop();
    bench.write(&metadata).await;
    assert_eq!(bench.rows(Kind::SqlCatalogBucket).await.len(), 3);
}

#[tokio::test]
async fn concurrent_changes_of_different_buckets_are_not_mixed() {
    let bench = Bench::new().await;
    bench.write(&SqlMetadata { logins: vec![login("a", 1)], ..empty() }).await;
    let before = bench.read().await;
    let change = |name: &str| {
        let logins = vec![login("a", 1), login(name, 2)];
        changes(before.as_ref(), &SqlMetadata { logins, ..empty() }, Timestamp(8)).expect("changes")
    };
    bench.commit(change("b")).await;
    let batch = Batch { mutations: change("c"), ..Batch::server("test") };
    let late = bench.store.commit(batch, Timestamp(8)).await.expect_err("another change came first");
    assert_eq!(late.kind(), ootheca_model::ErrorKind::Stale);
    let names: Vec<String> =
        bench.read().await.expect("metadata").value.logins.iter().map(|login| login.name.clone()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_during_changes_returns_buckets_of_one_revision() {
    // In different buckets.
    let metadata = |salt| SqlMetadata { logins: vec![login("a", salt), login("b", salt)], ..empty() };
    let bench = Arc::new(Bench::new().await);
    bench.write(&metadata(0)).await;
    let writing = bench.clone();
    let writer = tokio::spawn(async move {
        for salt in 1..20 {
            let before = writing.read().await;
            writing.commit(changes(before.as_ref(), &metadata(salt), Timestamp(8)).expect("changes")).await;
        }
    });
    while !writer.is_finished() {
        let logins = &bench.read().await.expect("metadata").value.logins;
        assert_eq!(logins[0].secret, logins[1].secret);
    }
    writer.await.expect("no panic");
}

#[test]
fn numbers_of_buckets_never_change() {
    assert_eq!(["", "admin", "défaut"].map(number), [0xe3, 0x8c, 0xa4]);
    assert_eq!(Bucket::id(empty().cluster, 10), format!("{}/0a", empty().cluster));
}

#[test]
fn secrets_are_found_by_name_and_never_formatted() {
    let logins = ["A", "_", "a"].map(|name| login(name, 1));
    for login in &logins {
        assert_eq!(secret_of(&logins, &login.name).as_ref(), Some(&login.secret));
    }
    assert_eq!(secret_of(&logins, "b"), None);
    let metadata = SqlMetadata { logins: logins.to_vec(), ..empty() };
    assert!(!format!("{metadata:?}").contains("stored"));
}

/// Any users and databases.
fn contents() -> impl Strategy<Value = SqlMetadata> {
    let logins = btree_map("[a-c]{1,2}|.{1,3}", 0_usize..2, 0..12);
    let databases = btree_map("[a-c]{1,2}|.{1,3}", proptest::option::of(0_i64..2), 0..12);
    (logins, databases).prop_map(|(logins, databases)| SqlMetadata {
        logins: logins.iter().map(|(name, salt)| login(name, *salt)).collect(),
        databases: databases.iter().map(|(name, tables)| database(name, *tables)).collect(),
        ..empty()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_last_metadata_is_read_after_any_changes(all in proptest::collection::vec(contents(), 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let bench = Bench::new().await;
            for metadata in &all {
                bench.write(metadata).await;
            }
            let rows = bench.rows(Kind::SqlCatalogBucket).await.len();
            assert_eq!(rows, buckets(all.last().expect("one")).len(), "no row for an empty bucket");
        });
    }
}
