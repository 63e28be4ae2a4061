//! How a spool has its file: opened when turns come or are to be written, and let go of when none wait.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Release;

use super::beside::{self, Opened};
use super::file::SpoolFile;
use super::index::Reading;
use super::{OPEN_PAUSE, OPEN_TRIES, Spool};

/// The file in use; none while nothing waits, for other processes may want it.
#[derive(Default)]
pub struct Files {
    pub open: Option<SpoolFile>,
    /// The one that the index is of, open or not.
    pub number: Option<u32>,
    /// Turns that were not acknowledged, for a write failed; they may be there after all.
    pub torn: Vec<u64>,
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Write,
    Empty,
}

impl Spool {
    /// Opens the file where it is not, and lets go of it where it fails, as what it then holds is read from it anew, and where
    /// nothing waits in it. None: there is none to empty.
    pub fn with_file<T>(
        &self,
        what_for: Use,
        act: impl FnOnce(&SpoolFile) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let mut files = self.files();
        let file = match files.open.take() {
            Some(file) => Some(file),
            None => self
                .open(&mut files, what_for)
                .inspect_err(|_| self.update(|it| it.reading = Reading::Unusable))?,
        };
        let Some(file) = file else { return Ok(None) };
        let done = act(&file)?;
        if self.is_quiet() {
            files.number = None;
        } else {
            files.open = Some(file);
        }
        Ok(Some(done))
    }

    pub fn files(&self) -> MutexGuard<'_, Files> {
        self.file.lock().unwrap_or_else(|poisoned| {
            self.file.clear_poison();
            let mut files = poisoned.into_inner();
            files.open = None;
            files
        })
    }

    fn open(&self, files: &mut Files, what_for: Use) -> Result<Option<SpoolFile>, String> {
        let mut tries = if self.index().reading == Reading::Unread { OPEN_TRIES } else { 1 };
        let found = loop {
            tries -= 1;
            let found = match (files.number, what_for) {
                (Some(number), _) => beside::again(&self.path, number),
                (None, Use::Write) => beside::to_write(&self.path),
                (None, Use::Empty) => beside::to_empty(&self.path),
            };
            match found {
                Ok(found) if !found.some_held || tries == 0 => break found,
                Err(why) if tries == 0 => return Err(why),
                _ => std::thread::sleep(OPEN_PAUSE),
            }
        };
        self.others_wait.store(found.some_held, Release);
        let Some(Opened { number, file }) = found.opened else {
            self.update(|it| it.read(Vec::new(), 0));
            return Ok(None);
        };
        if number > 0 && files.number.is_none() {
            let file = beside::path(&self.path, number);
            tracing::warn!(event = "session_spool_beside", file = %file.display(), named = %self.path.display());
        }
        files.number = Some(number);
        if !files.torn.is_empty() {
            file.settle(&files.torn, &[])?;
            files.torn.clear();
        }
        let (places, next) = file.places()?;
        self.update(|it| it.read(places, next));
        Ok(Some(file))
    }
}
