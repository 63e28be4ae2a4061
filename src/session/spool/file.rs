//! The file of a spool (redb: a turn is on disk when it is said to be, and `kill -9` tears nothing). Everything here blocks.

use std::path::Path;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::session::file;

/// Turns that wait, by number.
const TURNS: TableDefinition<u64, &[u8]> = TableDefinition::new("turns");
/// Of each its session's tag and its size: enough to know what waits without reading it.
const PLACES: TableDefinition<u64, (u128, u64)> = TableDefinition::new("places");
/// Turns that could not be read, or that the store would not take: out of the way, for whoever wants to look.
const ASIDE: TableDefinition<u64, &[u8]> = TableDefinition::new("aside");

/// Turns set aside; older ones leave.
const ASIDE_TURNS_MAX: u64 = 100;
/// Memory for pages. Turns are written once and read once.
const CACHE_BYTES: usize = 1 << 20;

/// One turn that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub number: u64,
    /// Of its session.
    pub tag: u128,
    pub bytes: u64,
}

/// An open file.
pub struct SpoolFile {
    database: Database,
}

impl SpoolFile {
    /// Makes the file where there is none. None: another process has it.
    pub fn open(path: &Path) -> Result<Option<Self>, String> {
        let database = file::open_unless_held(path, "`sessions.spool_file`", CACHE_BYTES);
        let Some(database) = database.map_err(|it| it.to_string())? else { return Ok(None) };
        let file = Self { database };
        file.write(&[])?;
        Ok(Some(file))
    }

    /// Everything that waits, oldest first, and the number no turn has had yet.
    pub fn places(&self) -> Result<(Vec<Place>, u64), String> {
        let read = self.database.begin_read().map_err(text)?;
        let mut places = Vec::new();
        for row in read.open_table(PLACES).map_err(text)?.range::<u64>(..).map_err(text)? {
            let (number, place) = row.map_err(text)?;
            let (tag, bytes) = place.value();
            places.push(Place { number: number.value(), tag, bytes });
        }
        let aside = read.open_table(ASIDE).map_err(text)?;
        let aside = aside.last().map_err(text)?.map(|(number, _)| number.value());
        let last = places.last().map(|it| it.number).max(aside);
        Ok((places, last.map_or(0, |it| it + 1)))
    }

    /// All of them or none; on disk when this returns.
    pub fn write(&self, turns: &[(Place, Vec<u8>)]) -> Result<(), String> {
        let write = self.database.begin_write().map_err(text)?;
        {
            let mut rows = write.open_table(TURNS).map_err(text)?;
            let mut places = write.open_table(PLACES).map_err(text)?;
            write.open_table(ASIDE).map_err(text)?;
            for (place, turn) in turns {
                rows.insert(place.number, turn.as_slice()).map_err(text)?;
                places.insert(place.number, (place.tag, place.bytes)).map_err(text)?;
            }
        }
        write.commit().map_err(text)
    }

    /// The turn of this number, if there is one.
    pub fn read(&self, number: u64) -> Result<Option<Bytes>, String> {
        let read = self.database.begin_read().map_err(text)?;
        let rows = read.open_table(TURNS).map_err(text)?;
        let row = rows.get(number).map_err(text)?;
        Ok(row.map(|it| Bytes::copy_from_slice(it.value())))
    }

    /// These wait no longer: `done` are forgotten, `aside` kept out of the way.
    pub fn settle(&self, done: &[u64], aside: &[u64]) -> Result<(), String> {
        let write = self.database.begin_write().map_err(text)?;
        {
            let mut rows = write.open_table(TURNS).map_err(text)?;
            let mut places = write.open_table(PLACES).map_err(text)?;
            let mut kept = write.open_table(ASIDE).map_err(text)?;
            for number in done.iter().chain(aside) {
                places.remove(number).map_err(text)?;
                let row = rows.remove(number).map_err(text)?;
                if let Some(turn) = row.filter(|_| aside.contains(number)) {
                    kept.insert(number, turn.value()).map_err(text)?;
                }
            }
            while kept.len().map_err(text)? > ASIDE_TURNS_MAX {
                kept.pop_first().map_err(text)?;
            }
        }
        write.commit().map_err(text)
    }
}

fn text(fault: impl Into<redb::Error>) -> String {
    fault.into().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::scripted::Folder;

    fn place(number: u64, tag: u128) -> Place {
        Place { number, tag, bytes: 2 }
    }

    #[test]
    fn what_was_written_is_there_when_the_file_is_opened_again() {
        let folder = Folder::new();
        let path = folder.path().join("spool.redb");
        let file = SpoolFile::open(&path).unwrap().unwrap();
        assert_eq!(file.places().unwrap(), (vec![], 0));
        let turns = [(place(0, 7), b"aa".to_vec()), (place(1, 9), b"bb".to_vec())];
        file.write(&turns).unwrap();
        assert!(SpoolFile::open(&path).unwrap().is_none(), "two at once");
        drop(file);
        let file = SpoolFile::open(&path).unwrap().unwrap();
        assert_eq!(file.places().unwrap(), (vec![place(0, 7), place(1, 9)], 2));
        assert_eq!(file.read(1).unwrap(), Some(Bytes::from_static(b"bb")));
        assert_eq!(file.read(5).unwrap(), None);
        file.settle(&[0], &[1]).unwrap();
        assert_eq!(file.places().unwrap(), (vec![], 2), "what is set aside keeps its number");
    }

    #[test]
    fn what_is_set_aside_is_bounded() {
        let folder = Folder::new();
        let file = SpoolFile::open(&folder.path().join("spool.redb")).unwrap().unwrap();
        let turns: Vec<_> = (0..150).map(|it| (place(it, 7), b"aa".to_vec())).collect();
        file.write(&turns).unwrap();
        file.settle(&[], &(0..150).collect::<Vec<_>>()).unwrap();
        let read = file.database.begin_read().unwrap();
        let aside = read.open_table(ASIDE).unwrap();
        assert_eq!(aside.len().unwrap(), ASIDE_TURNS_MAX);
        assert_eq!(aside.first().unwrap().unwrap().0.value(), 150 - ASIDE_TURNS_MAX);
    }
}
