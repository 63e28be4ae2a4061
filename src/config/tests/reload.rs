//! What counts as a change, and who notices.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Folder;
use crate::config::Watch;

#[test]
fn keys_come_from_files_and_are_part_of_the_hash() {
    let folder = Folder::new();
    folder.write("gateway.yaml", "upstreams: {openai: {key_file: k}}\nclients: {a: {key_file: c}}");
    folder.write("k", "\n one \ntwo\n");
    folder.write("c", "client\n");
    let before = folder.load(&[]).unwrap();
    let keys: Vec<_> = before.upstreams[0].keys.iter().map(|it| it.reveal()).collect();
    assert_eq!(keys, ["one", "two"]);
    assert_eq!(before.clients[0].key_digests.len(), 1);
    assert_eq!(before.watched.len(), 3);
    assert_eq!(before.hash, folder.load(&[]).unwrap().hash);
    folder.write("k", "three\n");
    assert_ne!(before.hash, folder.load(&[]).unwrap().hash);
    folder.write("k", "\n");
    assert_eq!(folder.load(&[]).unwrap().off[0].1, "`k` holds no key");
    folder.write("c", "");
    assert_eq!(folder.load(&[]).map(|_| ()), Err(vec!["gateway.yaml:2:25: `c` holds no key".to_owned()]));
}

/// Lays a version out the way a kubelet does, and swaps to it.
#[cfg(unix)]
fn swap(folder: &Folder, version: &str, key: &str) {
    use std::os::unix::fs::symlink;
    folder.write(&format!("..{version}/gateway.yaml"), "upstreams: {openai: {key_file: key}}");
    folder.write(&format!("..{version}/key"), key);
    for name in ["gateway.yaml", "key"] {
        let _ = symlink(Path::new("..data").join(name), folder.0.join(name));
    }
    symlink(format!("..{version}"), folder.0.join("..data_tmp")).unwrap();
    std::fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_config_map_swap_is_noticed_and_read_as_one_version() {
    let folder = Folder::new();
    swap(&folder, "one", "first");
    let before = folder.load(&[]).unwrap();
    assert_eq!(before.upstreams[0].keys[0].reveal(), "first");
    let mut watch = Watch::new(&before.watched);
    let bound = Duration::from_secs(20);
    tokio::time::timeout(bound, watch.changed()).await.expect("new folders count as changed");
    for version in ["second", "third"] {
        swap(&folder, version, version);
        tokio::time::timeout(bound, watch.changed()).await.expect("a swap is noticed");
        let after = folder.load(&[]).unwrap();
        assert_eq!(after.upstreams[0].keys[0].reveal(), version);
        assert_ne!(after.hash, before.hash);
        watch.follow(&after.watched);
    }
}

#[tokio::test]
async fn a_file_renamed_over_another_is_noticed() {
    let folder = Folder::new();
    let path = folder.write("gateway.yaml", "workers: 1");
    let mut watch = Watch::new(std::slice::from_ref(&path));
    let bound = Duration::from_secs(20);
    tokio::time::timeout(bound, watch.changed()).await.expect("new folders count as changed");
    for workers in ["2", "3"] {
        let next = folder.write("gateway.yaml.tmp", &format!("workers: {workers}"));
        std::fs::rename(next, &path).unwrap();
        tokio::time::timeout(bound, watch.changed()).await.expect("a rename is noticed");
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_even_where_nothing_is_heard() {
    let mut watch = Watch::new(&[PathBuf::from("/nowhere/at/all/gateway.yaml")]);
    watch.changed().await;
    let start = tokio::time::Instant::now();
    watch.changed().await;
    assert!(start.elapsed() >= Duration::from_secs(29));
}
