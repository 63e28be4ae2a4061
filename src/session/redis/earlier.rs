//! Reads what the earlier chat service kept in a Redis: a list of messages for each session, the newest first, and for each
//! user the names of its sessions. Nothing is written.

use std::sync::Arc;

use redis::Value;

use crate::names::Secret;
use crate::session::redis::options::RedisOptions;
use crate::session::redis::plan::{Misset, Plan};
use crate::session::redis::request::Request;
use crate::session::redis::topology::Topology;
use crate::session::store::StoreFault;

/// Time to connect and for an answer, in milliseconds: nobody waits for a call meanwhile.
const PATIENCE_MS: u64 = 10_000;

/// Keys that one step looks through, and messages that are read at once.
const KEYS_AT_ONCE: u64 = 500;
const MESSAGES_AT_ONCE: i64 = 100;

/// Colons of a key at which it may be cut.
const CUTS_MAX: usize = 16;

/// Bytes of one session's messages; of a longer one the last messages are read.
const SESSION_BYTES_MAX: usize = 64 << 20;

const CONVERSATION: &str = "conversation:";
const SESSIONS_OF_USER: &str = "user_sessions:";

/// The earlier service's Redis.
pub struct Earlier {
    topology: Arc<Topology>,
}

/// One of its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub user: String,
    pub session: String,
    key: String,
}

impl Earlier {
    /// `options`: what TLS needs. Connects to nothing yet.
    pub fn new(url: &Secret, options: &RedisOptions) -> Result<Self, Misset> {
        let options = RedisOptions {
            sentinel: None,
            cluster: Vec::new(),
            connect_ms: PATIENCE_MS,
            command_ms: PATIENCE_MS,
            ..if url.reveal().starts_with("rediss:") { options.clone() } else { RedisOptions::default() }
        };
        Ok(Self { topology: Topology::new(Plan::read(url, &options)?) })
    }

    /// Some of the sessions behind `cursor`, and where to go on; each comes at least once.
    pub async fn scan(&self, cursor: Option<&str>) -> Result<(Vec<Found>, Option<String>), StoreFault> {
        let request = Request::command("SCAN").arg(cursor.unwrap_or("0")).arg("MATCH");
        let request = request.arg(format!("{CONVERSATION}*")).arg("COUNT").number(KEYS_AT_ONCE);
        let answer = self.topology.ask(&request.arg("TYPE").arg("list").repeatable()).await?;
        let Value::Array(parts) = answer else { return Err(strange("SCAN")) };
        let [Value::BulkString(next), Value::Array(keys)] = parts.as_slice() else {
            return Err(strange("SCAN"));
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let Value::BulkString(key) = key else { return Err(strange("SCAN")) };
            // A name that is no text was not the service's.
            if let Ok(key) = std::str::from_utf8(key) {
                found.push(self.split(key).await?);
            }
        }
        let next = String::from_utf8_lossy(next).into_owned();
        Ok((found, Some(next).filter(|it| it != "0")))
    }

    /// Whose session a key is of. Both names may hold colons: of several ways to cut it the one counts that the user's list
    /// knows, and else the last colon, for the service made ids without any.
    async fn split(&self, key: &str) -> Result<Found, StoreFault> {
        let names = key.strip_prefix(CONVERSATION).unwrap_or(key);
        let cut = |at: usize| (names[..at].to_owned(), names[at + 1..].to_owned());
        let mut cuts = names.rmatch_indices(':').map(|(at, _)| cut(at)).take(CUTS_MAX);
        let mut known = cuts.next().unwrap_or_else(|| (String::new(), names.to_owned()));
        for (user, session) in cuts {
            let request = Request::command("HEXISTS").keys([format!("{SESSIONS_OF_USER}{user}")]);
            let request = request.arg(session.as_str()).repeatable();
            if matches!(self.topology.ask(&request).await, Ok(Value::Int(1))) {
                known = (user, session);
                break;
            }
        }
        Ok(Found { user: known.0, session: known.1, key: key.to_owned() })
    }

    /// The messages of a session, oldest first, each as the service wrote it.
    pub async fn messages(&self, found: &Found) -> Result<Vec<Vec<u8>>, StoreFault> {
        let request = Request::command("LLEN").keys([found.key.clone()]).repeatable();
        let Value::Int(length) = self.topology.ask(&request).await? else { return Err(strange("LLEN")) };
        let (mut read, mut bytes) = (Vec::new(), 0);
        // Counted from the oldest message on, which stays where it is while new ones come.
        let mut from = -length;
        while from < 0 && bytes < SESSION_BYTES_MAX {
            let to = (from + MESSAGES_AT_ONCE - 1).min(-1);
            let request = Request::command("LRANGE").keys([found.key.clone()]).arg(from.to_string());
            let request = request.arg(to.to_string()).repeatable();
            let Value::Array(some) = self.topology.ask(&request).await? else {
                return Err(strange("LRANGE"));
            };
            for message in some {
                let Value::BulkString(message) = message else { return Err(strange("LRANGE")) };
                bytes += message.len();
                read.push(message);
            }
            from = to + 1;
        }
        read.reverse();
        Ok(read)
    }
}

fn strange(command: &str) -> StoreFault {
    StoreFault::Corrupt(format!("redis: the answer to {command} is none"))
}
