#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn former_names_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ootheca.toml");
    let load = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Settings::load(Some(&file), &serde_json::json!({ "data_dir": folder.path() }))
    };
    let former = "[catalogue]\ndefault_version = \"v25.2\"\n[gateway]\nreuse_seconds = 7\n";
    let settings = load(former).unwrap();
    assert_eq!(settings.catalog.default_version, "v25.2");
    assert_eq!(settings.gateway.pool_idle_seconds, 7);
    let both = "[gateway]\nreuse_seconds = 7\npool_idle_seconds = 8\n";
    assert_eq!(load(both).unwrap().gateway.pool_idle_seconds, 8);
    assert!(load("[gateway]\nreuse = 7\n").is_err());
    let mode =
        |mode: &str| load(&format!("[rate_limit]\nmode = \"{mode}\"\n")).map(|found| found.rate_limit.mode);
    assert_eq!(mode("always").unwrap(), RateLimitMode::Refuse);
    assert_eq!(mode("pace").unwrap(), RateLimitMode::Pace);
    assert!(mode("sometimes").is_err());
}

#[test]
fn backups_are_in_the_data_directory_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let load = |url: &str| {
        let overrides = serde_json::json!({ "data_dir": folder.path(), "backups": { "url": url } });
        Settings::load(None, &overrides)
    };
    let settings = load("").unwrap();
    assert_eq!(settings.backups_url(), format!("file://{}/backups", folder.path().display()));
    ootheca_backups::check_url(&settings.backups_url()).unwrap();
    assert_eq!(load("s3://bucket/prefix").unwrap().backups_url(), "s3://bucket/prefix");
    assert!(load("backups").unwrap_err().message().contains("backups.url"));
}
