//! Notices that files of the configuration may have changed. It does not read them: the caller loads again and
//! compares hashes, so a false alarm costs one read.
//!
//! Folders are watched instead of files, because an editor's rename and a ConfigMap's `..data` swap put new files in
//! place of the watched ones.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// Quiet that ends a burst of events: writing a file, or a swap, makes several.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// Longest burst: a log file that grows beside gateway.yaml must not put off a reload for ever.
const BURST_MAX: Duration = Duration::from_secs(2);
/// Network file systems, subPath mounts and exhausted inotify limits tell nothing, so files are looked at anyway.
const TICK: Duration = Duration::from_secs(30);

/// A standing watch over the files of a configuration.
pub struct Watch {
    /// None where the system offers no watching; then the tick alone remains.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
    /// A change was seen and not yet reported; survives a caller that stops waiting half way.
    pending: bool,
    next_tick: Instant,
    warned: bool,
}

impl Watch {
    pub fn new(files: &[PathBuf]) -> Self {
        let changed = Arc::new(Notify::new());
        let wake = changed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files is an event too: it must not make us read them again.
            if !event.is_ok_and(|it| it.kind.is_access()) {
                wake.notify_one();
            }
        });
        let mut watch = Self {
            watcher: None,
            folders: BTreeSet::new(),
            changed,
            pending: false,
            next_tick: Instant::now() + TICK,
            warned: false,
        };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.warn(&error),
        }
        watch.follow(files);
        watch
    }

    /// Watches these files from now on, and no others. Folders that are new to it are reported as changed once, for
    /// something may have happened between the reading of their files and now.
    pub fn follow(&mut self, files: &[PathBuf]) {
        let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|it| folders_of(it)).collect();
        let Some(mut watcher) = self.watcher.take() else { return };
        for folder in self.folders.difference(&wanted) {
            // It fails where the folder is gone, and then there is nothing to end.
            let _ = watcher.unwatch(folder);
        }
        self.pending |= wanted.difference(&self.folders).next().is_some();
        for folder in &wanted {
            // Known ones too: a folder that was replaced by another of the same name has lost its watch.
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                self.warn(&error);
            }
        }
        self.folders = wanted;
        self.watcher = Some(watcher);
    }

    /// Returns once the files may have changed. May be dropped while waiting; nothing is lost.
    pub async fn changed(&mut self) {
        if !self.pending {
            tokio::select! {
                () = self.changed.notified() => self.pending = true,
                () = sleep_until(self.next_tick) => {}
            }
        }
        if self.pending {
            let burst_end = Instant::now() + BURST_MAX;
            while Instant::now() < burst_end && timeout(DEBOUNCE, self.changed.notified()).await.is_ok() {}
        }
        self.pending = false;
        self.next_tick = Instant::now() + TICK;
    }

    fn warn(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            let reason = error.to_string();
            tracing::warn!(reason, "files cannot be watched; they are looked at every {} s", TICK.as_secs());
        }
    }
}

/// The folder of a file and, where the file is a link, that of what it points to.
fn folders_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let target = file.canonicalize().ok();
    [Some(file.to_path_buf()), target].into_iter().flatten().filter_map(|it| {
        let folder = it.parent()?;
        Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() })
    })
}
