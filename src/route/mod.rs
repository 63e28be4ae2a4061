//! Decides where a call may go; it does nothing itself. Pure: health and time arrive from outside.

pub mod ask;
pub mod cause;
mod fit;
pub mod hedge;
pub mod legs;
pub mod options;
pub mod plan;
pub mod policy;
pub mod reckon;
pub mod table;
pub mod target;

#[cfg(test)]
mod tests;
