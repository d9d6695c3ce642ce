//! The conformance suite of the file-system seam: what every [`Files`] does.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use tress_store::files::write_whole;
use tress_store::{FaultyFiles, Files, MemoryFiles, RealFiles, Store};

fn suite(files: &dyn Files, root: &Path) {
    appends_are_read_back(files, root);
    what_is_missing_is_not_found(files, root);
    a_directory_lists_its_entries(files, root);
    renaming_takes_the_place(files, root);
    files_are_cut(files, root);
    what_is_appended_goes_over_room(files, root);
    whole_files_are_replaced(files, root);
    a_lock_has_one_holder(files, root);
}

fn appends_are_read_back(files: &dyn Files, root: &Path) {
    let dir = root.join("append/deep");
    files.create_dir(&dir).unwrap();
    files.create_dir(&dir).unwrap();
    let path = dir.join("file");
    let mut file = files.open(&path).unwrap();
    assert_eq!(file.end().unwrap(), 0);
    file.append(b"one ").unwrap();
    file.append(b"two").unwrap();
    file.sync().unwrap();
    assert_eq!(file.end().unwrap(), 7);
    drop(file);
    let mut again = files.open(&path).unwrap();
    again.append(b"!").unwrap();
    again.sync().unwrap();
    assert_eq!(files.read(&path, 0).unwrap(), b"one two!");
    assert_eq!(files.read(&path, 4).unwrap(), b"two!");
    assert_eq!(files.read(&path, 8).unwrap(), b"");
    assert_eq!(files.read(&path, 99).unwrap(), b"");
    assert_eq!(files.read_part(&path, 0, 3).unwrap(), b"one");
    assert_eq!(files.read_part(&path, 4, 3).unwrap(), b"two");
    assert_eq!(files.read_part(&path, 7, 3).unwrap(), b"!");
    assert_eq!(files.read_part(&path, 99, 3).unwrap(), b"");
    files.sync(&path).unwrap();
    files.rewrite(&path, 4, b"two!").unwrap();
    assert_eq!(files.read(&path, 0).unwrap(), b"one two!");
    files.sync_dir(&dir).unwrap();
}

fn what_is_missing_is_not_found(files: &dyn Files, root: &Path) {
    let missing = root.join("missing");
    assert_eq!(files.read(&missing, 0).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files.rewrite(&missing, 0, b"x").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files.sync(&missing).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files.list(&missing).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files.remove(&missing).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files.rename(&missing, &root.join("x")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files.open(&missing.join("file")).unwrap_err().kind(), ErrorKind::NotFound);
}

fn a_directory_lists_its_entries(files: &dyn Files, root: &Path) {
    let dir = root.join("list");
    files.create_dir(&dir.join("b-dir")).unwrap();
    for (name, bytes) in [("c", "333"), ("a", "1")] {
        let mut file = files.open(&dir.join(name)).unwrap();
        file.append(bytes.as_bytes()).unwrap();
    }
    let entries = files.list(&dir).unwrap();
    let entries: Vec<_> =
        entries.iter().map(|entry| (entry.name.as_str(), entry.is_dir, entry.len)).collect();
    assert_eq!(entries, [("a", false, 1), ("b-dir", true, 0), ("c", false, 3)]);
}

fn renaming_takes_the_place(files: &dyn Files, root: &Path) {
    let dir = root.join("rename");
    files.create_dir(&dir.join("inner")).unwrap();
    for name in ["old", "new", "inner/file"] {
        files.open(&dir.join(name)).unwrap().append(name.as_bytes()).unwrap();
    }
    files.rename(&dir.join("old"), &dir.join("new")).unwrap();
    assert_eq!(files.read(&dir.join("new"), 0).unwrap(), b"old");
    files.rename(&dir.join("inner"), &dir.join("moved")).unwrap();
    assert_eq!(files.read(&dir.join("moved/file"), 0).unwrap(), b"inner/file");
    files.remove(&dir.join("moved/file")).unwrap();
    assert!(files.list(&dir.join("moved")).unwrap().is_empty());
}

fn files_are_cut(files: &dyn Files, root: &Path) {
    let path = root.join("cut");
    let mut file = files.open(&path).unwrap();
    file.append(b"0123456789").unwrap();
    file.truncate(4).unwrap();
    file.append(b"x").unwrap();
    assert_eq!(files.read(&path, 0).unwrap(), b"0123x");
}

fn what_is_appended_goes_over_room(files: &dyn Files, root: &Path) {
    let path = root.join("room");
    let mut file = files.open(&path).unwrap();
    file.append(b"one").unwrap();
    file.reserve(5).unwrap();
    assert_eq!(files.read(&path, 0).unwrap(), b"one\0\0\0\0\0");
    assert_eq!(file.end().unwrap(), 3);
    file.append(b"two").unwrap();
    file.sync().unwrap();
    assert_eq!(files.read(&path, 0).unwrap(), b"onetwo\0\0");
    file.reserve(1).unwrap();
    file.reserve(4).unwrap();
    assert_eq!(files.read(&path, 0).unwrap(), b"onetwo\0\0\0\0");
    file.append(b"more than there is room for").unwrap();
    assert_eq!(files.read(&path, 6).unwrap(), b"more than there is room for");
    file.reserve(9).unwrap();
    let end = file.end().unwrap();
    file.truncate(end).unwrap();
    file.append(b"!").unwrap();
    assert_eq!(files.read(&path, 6).unwrap(), b"more than there is room for!");
}

fn whole_files_are_replaced(files: &dyn Files, root: &Path) {
    let path = root.join("whole");
    write_whole(files, &path, b"first, and longer").unwrap();
    write_whole(files, &path, b"second").unwrap();
    assert_eq!(files.read(&path, 0).unwrap(), b"second");
}

fn a_lock_has_one_holder(files: &dyn Files, root: &Path) {
    let path = root.join("lock");
    let held = files.lock(&path, false).unwrap();
    assert!(held.is_some());
    assert!(files.lock(&path, false).unwrap().is_none());
    drop(held);
    assert!(files.lock(&path, false).unwrap().is_some());
    let first = files.lock(&path, true).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| files.lock(&path, true).unwrap().is_some());
        drop(first);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn the_real_file_system_conforms() {
    let dir = tempfile::tempdir().unwrap();
    suite(&RealFiles, dir.path());
}

#[test]
fn what_fails_on_purpose_conforms_as_long_as_it_does_not() {
    suite(&FaultyFiles::on(&MemoryFiles::new()), Path::new("/root"));
}

#[test]
fn memory_conforms() {
    let files = MemoryFiles::new();
    files.create_dir(Path::new("/root")).unwrap();
    suite(&files, Path::new("/root"));
}

#[test]
fn what_shows_packed_files_conforms() {
    let store = Store::create_on(Arc::new(MemoryFiles::new()), Path::new("/root"), String::new());
    suite(&**store.unwrap().files(), Path::new("/root"));
}

#[test]
fn a_crash_of_memory_loses_what_was_not_synced_and_nothing_else() {
    let files: Arc<dyn Files> = Arc::new(MemoryFiles::new());
    let memory = MemoryFiles::new();
    let root = Path::new("/root");
    memory.create_dir(root).unwrap();
    let mut kept = memory.open(&root.join("kept")).unwrap();
    kept.append(b"synced").unwrap();
    kept.sync().unwrap();
    memory.sync_dir(root).unwrap();
    kept.append(b" and not").unwrap();
    let mut unnamed = memory.open(&root.join("unnamed")).unwrap();
    unnamed.append(b"synced, but its name was not").unwrap();
    unnamed.sync().unwrap();
    memory.crash();
    assert_eq!(memory.read(&root.join("kept"), 0).unwrap(), b"synced");
    assert!(memory.read(&root.join("unnamed"), 0).is_err());
    drop(files);
}
