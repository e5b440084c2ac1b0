use super::*;

#[test]
fn a_setting_that_retention_hangs_on_is_named_when_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), StoreOptions { retention: Retention::new(1) }).unwrap());
    let newest = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let newest = newest.filter(|path| path.to_string_lossy().contains("OPTIONS-")).max().unwrap();
    let text = std::fs::read_to_string(newest).unwrap();
    assert_eq!(gc_gap(&text), None, "as it is opened");
    for (has, instead) in [
        ("=keyviz.retention.factory", "=nullptr"),
        ("periodic_compaction_seconds=86400", "periodic_compaction_seconds=0"),
        ("disable_auto_compactions=false", "disable_auto_compactions=true"),
    ] {
        let found = gc_gap(&text.replace(has, instead)).unwrap();
        assert!(found.contains(has.trim_start_matches('=')), "{found}");
    }
    assert_eq!(gc_gap(""), Some(GC_SETTINGS[0]), "no file, or one of another family");
}

#[test]
fn a_folder_whose_settings_cannot_be_read_back_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), StoreOptions { retention: Retention::new(1) }).unwrap());
    // A later one, which somebody else left there.
    std::fs::write(folder.path().join("OPTIONS-999999"), "[Version]\n").unwrap();
    let refused = check_gc(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("compaction_filter_factory"), "{refused}");
}
