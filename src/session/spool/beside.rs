//! The files of a spool: the one an operator named and, for processes that find it held by another, some beside it. What a
//! process leaves in one, another finds that looks when nobody holds it.

use std::path::{Path, PathBuf};

use super::file::SpoolFile;

/// Processes that can have turns wait in one folder at a time.
const FILES_MAX: u32 = 8;

/// One that was opened.
pub struct Opened {
    pub number: u32,
    pub file: SpoolFile,
}

/// What was found of them.
#[derive(Default)]
pub struct Found {
    pub opened: Option<Opened>,
    /// Another process has at least one.
    pub some_held: bool,
}

/// The file of a number: 0 is the one that was named.
pub fn path(named: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return named.to_owned();
    }
    let mut name = named.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

pub fn any_exists(named: &Path) -> bool {
    (0..FILES_MAX).any(|it| path(named, it).exists())
}

/// The first that no other process has; it may be a new one.
pub fn to_write(named: &Path) -> Result<Found, String> {
    for number in 0..FILES_MAX {
        if let Some(file) = SpoolFile::open(&path(named, number))? {
            return Ok(Found { opened: Some(Opened { number, file }), some_held: number > 0 });
        }
    }
    Err(format!("{}: other processes have it and all {FILES_MAX} files beside it open", named.display()))
}

/// The first in which turns wait and that no other process has. Makes none.
pub fn to_empty(named: &Path) -> Result<Found, String> {
    let mut found = Found::default();
    for number in (0..FILES_MAX).filter(|it| path(named, *it).exists()) {
        match SpoolFile::open(&path(named, number))? {
            Some(file) if !file.places()?.0.is_empty() => {
                found.opened = Some(Opened { number, file });
                break;
            }
            Some(_) => {}
            None => found.some_held = true,
        }
    }
    Ok(found)
}

/// The one that was in use before.
pub fn again(named: &Path, number: u32) -> Result<Found, String> {
    let path = path(named, number);
    match SpoolFile::open(&path)? {
        Some(file) => Ok(Found { opened: Some(Opened { number, file }), some_held: number > 0 }),
        None => Err(format!("{}: another process has it open", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Place;
    use super::*;
    use crate::session::scripted::Folder;

    #[test]
    fn a_process_writes_beside_what_another_holds_and_finds_what_that_left() {
        let folder = Folder::new();
        let named = folder.path().join("spool.redb");
        assert!(!any_exists(&named) && to_empty(&named).unwrap().opened.is_none());
        assert!(!any_exists(&named), "looking makes none");
        let first = to_write(&named).unwrap();
        let second = to_write(&named).unwrap();
        let (first_file, second_file) = (first.opened.unwrap(), second.opened.unwrap());
        assert_eq!((first_file.number, second_file.number), (0, 1));
        assert!(!first.some_held && second.some_held);
        let place = Place { number: 0, tag: 7, bytes: 2 };
        second_file.file.write(&[(place, b"aa".to_vec())]).unwrap();
        let found = to_empty(&named).unwrap();
        assert!(found.opened.is_none() && found.some_held);
        drop(second_file);
        let found = to_empty(&named).unwrap();
        assert!(found.some_held);
        assert_eq!(found.opened.unwrap().number, 1);
        drop(first_file);
    }
}
