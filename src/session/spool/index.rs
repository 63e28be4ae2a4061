//! What a spool knows of the turns that wait in its file: which there are, of which sessions, and which are wanted first.
//! Plain data.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::file::Place;

/// Whether the file has been looked into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// There is a file: what waits in it is not known yet.
    Unread,
    #[default]
    Read,
    /// It cannot be opened; what it may hold is left to whoever has it.
    Unusable,
}

/// The turns of one file.
#[derive(Default)]
pub struct Index {
    pub reading: Reading,
    places: BTreeMap<u64, Place>,
    /// By the session's tag, the numbers of its turns.
    sessions: HashMap<u128, BTreeSet<u64>>,
    bytes: u64,
    next: u64,
    /// Sessions somebody waits for; some may have nothing that waits any more.
    wanted: VecDeque<u128>,
}

impl Index {
    /// `reading`: [`Reading::Unread`] where there is a file.
    pub fn new(reading: Reading) -> Self {
        Self { reading, ..Self::default() }
    }

    /// Knows these alone.
    pub fn read(&mut self, places: Vec<Place>, next: u64) {
        let wanted = std::mem::take(&mut self.wanted);
        *self = Self { wanted, next, ..Self::default() };
        places.into_iter().for_each(|it| self.add(it));
    }

    /// The number of the next turn.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    pub fn add(&mut self, place: Place) {
        self.bytes += place.bytes;
        self.sessions.entry(place.tag).or_default().insert(place.number);
        self.places.insert(place.number, place);
    }

    pub fn remove(&mut self, number: u64) {
        let Some(place) = self.places.remove(&number) else { return };
        self.bytes -= place.bytes;
        if let Some(numbers) = self.sessions.get_mut(&place.tag) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.sessions.remove(&place.tag);
            }
        }
    }

    pub fn turns(&self) -> usize {
        self.places.len()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether turns of this session wait, or may.
    pub fn holds(&self, tag: u128) -> bool {
        self.reading == Reading::Unread || self.sessions.contains_key(&tag)
    }

    /// Whether nothing waits, as far as can be known.
    pub fn is_quiet(&self) -> bool {
        self.reading != Reading::Unread && self.places.is_empty()
    }

    /// Somebody waits for the turns of this session to be written.
    pub fn want(&mut self, tag: u128) {
        if !self.wanted.contains(&tag) {
            self.wanted.push_back(tag);
        }
    }

    /// The turns to write next, in order: of one session that is wanted, else the oldest. None of those `passed_over`.
    pub fn batch(&mut self, turns_max: usize, passed_over: &HashSet<u128>) -> Vec<Place> {
        self.wanted.retain(|it| self.sessions.contains_key(it));
        let wanted = self.wanted.iter().find(|it| !passed_over.contains(it));
        if let Some(numbers) = wanted.and_then(|it| self.sessions.get(it)) {
            return numbers.iter().filter_map(|it| self.places.get(it)).copied().take(turns_max).collect();
        }
        let next = self.places.values().filter(|it| !passed_over.contains(&it.tag));
        next.copied().take(turns_max).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::new(Reading::Unread);
        let places = [(3, 7), (4, 9), (5, 7), (8, 9)];
        index.read(places.map(|(number, tag)| Place { number, tag, bytes: 10 }).into(), 9);
        index
    }

    #[test]
    fn the_oldest_turns_come_first_and_those_of_a_wanted_session_before_them() {
        let mut index = index();
        let check = |index: &mut Index, passed_over: &[u128], expected: &[u64]| {
            let batch = index.batch(3, &passed_over.iter().copied().collect());
            assert_eq!(batch.iter().map(|it| it.number).collect::<Vec<_>>(), expected);
        };
        check(&mut index, &[], &[3, 4, 5]);
        check(&mut index, &[7], &[4, 8]);
        check(&mut index, &[7, 9], &[]);
        index.want(1);
        index.want(9);
        check(&mut index, &[], &[4, 8]);
        check(&mut index, &[9], &[3, 5]);
        index.remove(4);
        check(&mut index, &[], &[8]);
        index.remove(8);
        check(&mut index, &[], &[3, 5]);
        assert_eq!(index.number(), 9);
        assert_eq!(index.number(), 10);
    }

    #[test]
    fn it_knows_whose_turns_wait_and_how_much_they_are() {
        let mut index = index();
        assert_eq!((index.turns(), index.bytes(), index.is_quiet()), (4, 40, false));
        assert!(index.holds(7) && !index.holds(8));
        [3, 5, 5].into_iter().for_each(|it| index.remove(it));
        assert!(!index.holds(7));
        [4, 8].into_iter().for_each(|it| index.remove(it));
        assert_eq!((index.turns(), index.bytes(), index.is_quiet()), (0, 0, true));
        let unread = Index::new(Reading::Unread);
        assert!(unread.holds(8) && !unread.is_quiet());
    }
}
