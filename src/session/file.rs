//! Opens a file of the gateway's own (redb), readable by its user alone, and says what to do where that fails.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageError};

use crate::session::store::StoreFault;

/// Opens the file at `path`, or makes it; one that its process left without a farewell is repaired, which reads all of it.
/// `option` of the configuration names the file; `cache_bytes`: memory for its pages. Blocks.
pub fn open(path: &Path, option: &str, cache_bytes: usize) -> Result<Database, StoreFault> {
    open_unless_held(path, option, cache_bytes)?.ok_or_else(|| {
        StoreFault::Away(format!(
            "{}: another process has it open; wait for its end, or set {option} to a file of its own",
            path.display()
        ))
    })
}

/// The same; None: another process has it open.
pub fn open_unless_held(
    path: &Path,
    option: &str,
    cache_bytes: usize,
) -> Result<Option<Database>, StoreFault> {
    let away = |why: String| StoreFault::Away(format!("{}: {why}", path.display()));
    let unusable = |it: io::Error| away(format!("{it}; make it and its folder writable, or set {option}"));
    let file = open_or_make(path).map_err(unusable)?;
    let backend = match FileBackend::new(file) {
        Ok(backend) => backend,
        Err(DatabaseError::DatabaseAlreadyOpen) => return Ok(None),
        Err(other) => return Err(away(other.to_string())),
    };
    match redb::Builder::new().set_cache_size(cache_bytes).create_with_backend(backend) {
        Ok(database) => Ok(Some(database)),
        Err(DatabaseError::DatabaseAlreadyOpen) => Ok(None),
        Err(DatabaseError::Storage(StorageError::Io(it))) if it.kind() != io::ErrorKind::InvalidData => {
            Err(unusable(it))
        }
        Err(other) => {
            Err(away(format!("it is damaged or was not written by this gateway ({other}); move it away")))
        }
    }
}

/// A new file's name must last as well as what is in it, so its folder is brought to disk too.
fn open_or_make(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    if file.metadata()?.len() == 0 {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}
