//! Whatever the other dialects say survives chat's form, and whatever vendors of chat send is understood.

mod answers;
mod any;
mod chunks;
mod prompts;
mod streams;
