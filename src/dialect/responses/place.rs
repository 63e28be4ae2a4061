//! Where in a request something stands, for errors that name it.

use std::fmt;

use crate::dialect::read::refused;
use crate::error::Error;

/// A field of a request, such as `input[3].content[0].text`.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The list, such as `input`.
    pub list: &'static str,
    pub index: usize,
    /// A field of its element, which may be a list too; empty for the element itself.
    pub field: &'static str,
    pub part: Option<usize>,
}

impl At {
    pub fn of(list: &'static str, index: usize) -> Self {
        Self { list, index, field: "", part: None }
    }

    pub fn field(self, field: &'static str) -> Self {
        Self { field, ..self }
    }

    pub fn part(self, part: usize) -> Self {
        Self { part: Some(part), ..self }
    }

    /// `name` of what stands here is not `wanted`.
    pub fn wrong(self, name: &str, wanted: &str) -> Error {
        let dot = if name.is_empty() { "" } else { "." };
        refused(&format!("{self}{dot}{name}"), wanted)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.list, self.index)?;
        if !self.field.is_empty() {
            write!(f, ".{}", self.field)?;
        }
        self.part.map_or(Ok(()), |it| write!(f, "[{it}]"))
    }
}
