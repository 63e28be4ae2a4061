//! The gateway as its users meet it: the real binary, real sockets, scripted vendors. One binary, for one link.
//! Tests never sleep: they wait for an event, and a bound that only a failing test reaches.

// What a test leans on may unwrap: it then fails that test, which is all it should do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod admin;
mod books;
mod bytes;
mod callers;
mod cheapest;
mod circuit;
mod cli;
mod concurrency;
mod constraints;
mod continuation;
mod costs;
mod disguised;
mod exhausted;
mod failover;
mod fastest;
mod fill_in;
mod forms;
mod h2;
mod half_open;
mod hang_up;
mod headers;
mod keys;
mod limits;
mod limits_learned;
mod local_only;
mod operator;
mod outages;
mod overload;
mod own_timers;
mod pool;
mod prices;
mod readme;
mod refusals;
mod reload;
mod responses_stream;
mod secrets;
mod shadow;
mod shutdown;
mod single_flight;
mod smuggling;
mod storm;
mod strays;
mod stream_ends;
mod streams;
mod support;
mod surface;
mod throughput;
mod tls;
mod told_cost;
mod uploads;
mod verdicts;
mod waiting;
