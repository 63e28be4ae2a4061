//! Decides where a call may go; it does nothing itself. Pure: health and time arrive from outside.

pub mod options;
pub mod plan;
pub mod table;
