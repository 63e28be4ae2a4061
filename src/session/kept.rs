//! What becomes of a turn that is written, and the words for it.

use crate::session::record::Appended;
use crate::session::store::StoreFault;

/// What became of a turn that was to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// The store has it, or dropped it because its session is gone.
    Stored(Appended),
    /// It waits on disk and will be written when the store is back.
    Spooled,
    /// Neither store nor spool could take it.
    Lost(StoreFault),
}

pub const STORED: &str = "stored";
pub const LOST: &str = "lost";

impl Kept {
    /// The word for headers and log lines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Kept::Stored(Appended::Stored { .. }) => STORED,
            Kept::Stored(Appended::Gone) => "gone",
            Kept::Spooled => "spooled",
            Kept::Lost(_) => LOST,
        }
    }

    /// What is told of two records of one call: what became of the one that fared worse.
    pub fn worse(self, other: Self) -> Self {
        let rank = |it: &Self| match it {
            Kept::Stored(Appended::Stored { .. }) => 0,
            Kept::Stored(Appended::Gone) => 1,
            Kept::Spooled => 2,
            Kept::Lost(_) => 3,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}
