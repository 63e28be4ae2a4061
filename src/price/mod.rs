//! What a call costs: prices with dates, prompt bounds and hours, and the one sum that routing, headers, log and metrics
//! share. Pure: the moment arrives from outside. What vendors counted is read by [`crate::api::usage`].
//!
//! * [`options`]: what the catalogue and gateway.yaml may say; [`calendar`]: dates, hours, holidays.
//! * [`rates`]: the prices of one model, read from options; [`mod@cost`]: what usage costs at them.
//! * [`book`]: all of them by vendor and model, from `catalogue.yaml` and the operator; `clouds`: who has a maker's prices.
//! * [`estimate`]: tokens that nobody has counted, by their look; [`tokenizer`]: in truth, where the operator wants it.

pub mod book;
pub mod calendar;
mod clouds;
pub mod cost;
pub mod estimate;
pub mod options;
pub mod rates;
pub mod tokenizer;

#[cfg(test)]
mod tests;

pub use book::PriceBook;
pub use cost::cost;
pub use rates::Price;

/// What is wrong with a price, at which option below the one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceFault {
    /// Keys and list indices, such as `when`, `0`, `utc`, `1`.
    pub path: Vec<String>,
    pub message: String,
}

impl PriceFault {
    fn new(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(ToString::to_string).collect(), message: message.into() }
    }

    /// The same fault, saying whose price it is.
    pub fn of(self, whose: &str) -> Self {
        Self { message: format!("price of {whose}: {}", self.message), ..self }
    }

    /// The same fault, seen from further out.
    pub fn below(mut self, path: &[&str]) -> Self {
        self.path.splice(0..0, path.iter().map(ToString::to_string));
        self
    }
}
