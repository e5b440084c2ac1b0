use super::*;

#[test]
fn a_second_host_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let held = DataDir::open(folder.path()).unwrap();
    let error = DataDir::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("in use by another keyviz-host"), "{error}");
    drop(held);
    DataDir::open(folder.path()).unwrap();
}

#[test]
fn a_foreign_folder_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("CURRENT"), "MANIFEST-1").unwrap();
    let error = DataDir::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("CURRENT") && error.contains("did not write"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn a_newer_or_damaged_marker_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MARKER), "{\"format\":2}").unwrap();
    let error = DataDir::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("format 2"), "{error}");
    fs::write(folder.path().join(MARKER), "{").unwrap();
    let error = DataDir::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(MARKER) && error.contains("damaged"), "{error}");
}

#[test]
fn a_path_that_is_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = DataDir::open(&file).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
}
