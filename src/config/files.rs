//! Reads the files a configuration is made of, and remembers which they were and what they said.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::fault::Faults;

/// Longest file read; keys, certificates and gateway.yaml are far smaller, and a device has no end.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The files of one load.
pub(super) struct Files {
    /// Folder of gateway.yaml: what relative paths are relative to.
    folder: PathBuf,
    /// The version that a ConfigMap's `..data` pointed to when the load began. All files below `folder` are read from
    /// it, so that a swap half way does not mix two versions.
    pinned: Option<PathBuf>,
    digest: Sha256,
    read: Vec<PathBuf>,
}

impl Files {
    /// For a configuration in that folder; an empty path is the current one.
    pub fn beside(folder: &Path) -> Self {
        let pinned = folder.join("..data").canonicalize().ok();
        Self { folder: folder.into(), pinned, digest: Sha256::new(), read: Vec::new() }
    }

    /// The contents of a file that the configuration names.
    pub fn read(&mut self, name: &Path) -> Result<Vec<u8>, String> {
        let path = self.folder.join(name);
        let contents = self.contents(&path);
        // A file that is away is waited for like one that changes.
        self.note(&path, contents.as_deref().unwrap_or_default());
        contents.map_err(|error| format!("cannot be read: {}", reason(&error)))
    }

    /// Where a file is that the configuration names but others read.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The contents of a file outside the configuration, if it exists.
    pub fn read_if_there(&mut self, path: &Path, faults: &mut Faults) -> Option<Vec<u8>> {
        match bounded(path) {
            Ok(contents) => {
                self.note(path, &contents);
                Some(contents)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                faults.elsewhere(path, 0, format!("cannot be read: {}", reason(&error)));
                None
            }
        }
    }

    fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(pinned) = self.pinned_path(path) {
            match bounded(&pinned) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                read => return read,
            }
        }
        bounded(path)
    }

    /// The path's twin in the pinned version, where the path is below the folder.
    fn pinned_path(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.folder).ok()?;
        let is_below = matches!(below.components().next(), Some(Component::Normal(_)));
        is_below.then(|| Some(self.pinned.as_ref()?.join(below)))?
    }

    fn note(&mut self, path: &Path, contents: &[u8]) {
        // Name and length keep two files from passing for one another.
        self.digest.update(path.as_os_str().as_encoded_bytes());
        self.digest.update([0]);
        self.digest.update(contents.len().to_le_bytes());
        self.digest.update(contents);
        if !self.read.iter().any(|it| it == path) {
            self.read.push(path.into());
        }
    }

    /// SHA-256 over all that was read, in hexadecimal, and the files it was read from.
    pub fn finish(self) -> (String, Vec<PathBuf>) {
        (hex(&self.digest.finalize()), self.read)
    }
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it is longer than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(contents)
}

/// An I/O error without the number the system gives it.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// The keys in a file: its lines, without the empty ones.
pub(super) fn key_lines(contents: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(contents).map_err(|_| "is not UTF-8 text".to_owned())?;
    Ok(text.lines().map(str::trim).filter(|it| !it.is_empty()).map(Into::into).collect())
}
