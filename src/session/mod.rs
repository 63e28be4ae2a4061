//! Remembers conversations between calls, in the OpenAI shape, so that one may begin at one vendor and go on at another.
//!
//! A *session* ([`record::Meta`]) belongs to one [`key::Owner`] and is a list of [`turn::Turn`]s: what a client sent and
//! what it was answered, together, written at once. A [`store::Store`] keeps sessions; which one, [`options`] say.

pub mod embedded;
pub mod key;
pub mod options;
pub mod record;
pub mod redis;
pub mod sessions;
pub mod store;
pub mod turn;
