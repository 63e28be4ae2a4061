//! Tollgate: an OpenAI-compatible gateway in front of every LLM vendor.

pub mod sim;
