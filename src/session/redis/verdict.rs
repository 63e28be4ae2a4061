//! What an error answer of Redis means for the one who asked.

use redis::ServerError;

use crate::session::redis::plan::Place;
use crate::session::store::StoreFault;

/// Longest text of a server that is passed on, in characters.
const TEXT_MAX: usize = 200;

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The server does not know the script yet.
    Unknown,
    /// The slot lives there now.
    Moved(Place),
    /// The slot is under way to there.
    Ask(Place),
    /// It is no master, or no longer.
    NotMaster(StoreFault),
    /// Not all keys of the request are on this server while their slot moves.
    Split(StoreFault),
    Fault(StoreFault),
}

/// `place`: who answered.
pub(super) fn verdict(error: &ServerError, place: &Place) -> Verdict {
    let (code, detail) = plain(error);
    let text: String = format!("redis {place}: {code} {detail}").chars().take(TEXT_MAX).collect();
    match code {
        "NOSCRIPT" => Verdict::Unknown,
        "MOVED" => redirect(detail, place).map_or(Verdict::Fault(StoreFault::Away(text)), Verdict::Moved),
        "ASK" => redirect(detail, place).map_or(Verdict::Fault(StoreFault::Away(text)), Verdict::Ask),
        "READONLY" | "MASTERDOWN" => Verdict::NotMaster(StoreFault::Away(text)),
        "TRYAGAIN" => Verdict::Split(StoreFault::Busy(text)),
        "CORRUPT" | "WRONGTYPE" => Verdict::Fault(StoreFault::Corrupt(text)),
        _ => Verdict::Fault(StoreFault::Away(text)),
    }
}

/// Code and text. Before version 7 the error of a command in a script comes inside an `ERR` of the script's.
fn plain(error: &ServerError) -> (&str, &str) {
    let (code, detail) = (error.code(), error.details().unwrap_or_default());
    let inner = detail.match_indices(": ").find_map(|(at, colon)| {
        let rest = &detail[at + colon.len()..];
        let (inner, text) = rest.strip_prefix('-').unwrap_or(rest).split_once(' ')?;
        (inner.len() > 2 && inner.bytes().all(|it| it.is_ascii_uppercase())).then_some((inner, text))
    });
    match (code, inner) {
        ("ERR", Some(inner)) => inner,
        _ => (code, detail),
    }
}

/// `3999 127.0.0.1:6381`; a server that does not know its own name leaves the host out.
fn redirect(detail: &str, from: &Place) -> Option<Place> {
    let address = detail.split(' ').nth(1)?;
    match (address.strip_prefix(':').map(str::parse), from) {
        (Some(Ok(port)), Place::Tcp(host, _)) => Some(Place::Tcp(host.clone(), port)),
        _ => Place::parse(address),
    }
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn check(line: &str, expected: Verdict) {
        let Ok(Value::ServerError(error)) = parse_redis_value(format!("-{line}\r\n").as_bytes()) else {
            panic!("{line} is no error");
        };
        let place = Place::Tcp("a".into(), 1);
        let found = verdict(&error, &place);
        match (&found, &expected) {
            (Verdict::Fault(found), Verdict::Fault(expected))
            | (Verdict::Split(found), Verdict::Split(expected))
            | (Verdict::NotMaster(found), Verdict::NotMaster(expected)) => {
                assert_eq!(std::mem::discriminant(found), std::mem::discriminant(expected), "{line}");
                assert!(found.to_string().starts_with("redis a:1: "), "{found}");
            }
            _ => assert_eq!(found, expected, "{line}"),
        }
    }

    #[test]
    fn errors_of_redis_are_told_apart() {
        let away = || Verdict::Fault(StoreFault::Away(String::new()));
        let corrupt = || Verdict::Fault(StoreFault::Corrupt(String::new()));
        let no_master = || Verdict::NotMaster(StoreFault::Away(String::new()));
        check("NOSCRIPT No matching script. Please use EVAL.", Verdict::Unknown);
        check("MOVED 3999 127.0.0.1:6381", Verdict::Moved(Place::Tcp("127.0.0.1".into(), 6381)));
        check("MOVED 3999 ::1:6381", Verdict::Moved(Place::Tcp("::1".into(), 6381)));
        check("ASK 3999 :6381", Verdict::Ask(Place::Tcp("a".into(), 6381)));
        check("MOVED what", away());
        check("READONLY You can't write against a read only replica.", no_master());
        check(
            "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write.",
            no_master(),
        );
        let split = || Verdict::Split(StoreFault::Busy(String::new()));
        check("TRYAGAIN Multiple keys request during rehashing of slot", split());
        check("TRYAGAIN the record is under way", split());
        check("MASTERDOWN Link with MASTER is down", no_master());
        check("OOM command not allowed when used memory > 'maxmemory'.", away());
        check("LOADING Redis is loading the dataset in memory", away());
        check("CLUSTERDOWN The cluster is down", away());
        check("NOPERM this user has no permissions", away());
        check("WRONGTYPE Operation against a key", corrupt());
        check(
            "ERR Error running script (call to f_1): @user_script:4: WRONGTYPE Operation against a key",
            corrupt(),
        );
        check("CORRUPT turns of this session are gone", corrupt());
        check(&format!("ERR {}", "x".repeat(5_000)), away());
    }

    #[test]
    fn long_texts_are_cut() {
        let long = format!("-ERR {}\r\n", "x".repeat(5_000));
        let Ok(Value::ServerError(error)) = parse_redis_value(long.as_bytes()) else { panic!("no error") };
        let Verdict::Fault(fault) = verdict(&error, &Place::Tcp("a".into(), 1)) else { panic!("no fault") };
        assert_eq!(fault.to_string().len(), TEXT_MAX);
    }
}
