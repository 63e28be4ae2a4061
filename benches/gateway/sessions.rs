//! What it costs that the gateway keeps the conversation: calls of a session against calls that bring the same history, and
//! calls without a session while the store is away.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::child;
use crate::contestant::Gateway;
use crate::load;
use crate::measure::{Bench, percentile_us};
use crate::pacing::{self, Caller};
use crate::payload::{self, Pace};
use crate::redis::Redis;
use crate::report::{self, Column, Row};
use crate::vendor::FRAMING_EVENTS;

/// Stored turns of the sessions that are measured.
const TURNS: [usize; 3] = [1, 20, 200];

/// Sessions at once, each with a connection of its own; of the open loop, as many as it has senders.
const SESSIONS: usize = 32;

/// The events of a streamed answer that is about as long as a whole one, and the pause between them.
const PACE: Pace = Pace { events: 40, between: Duration::from_millis(2) };

/// Between two calls of the open loop: 200 per second, which a store that flushes a disk can follow.
const PERIOD: Duration = Duration::from_millis(5);

/// Between two calls without a session while the store is frozen: 500 per second.
const BESIDE_PERIOD: Duration = Duration::from_millis(2);

/// Between two calls of a session beside them, which meet the frozen store.
const KNOCK: Duration = Duration::from_millis(20);

/// Calls of one session by which Redis's commands are counted.
const COUNTED: usize = 30;

/// Body of the calls without a session.
const PLAIN_BYTES: usize = 1_000;

/// Time in which a thawed store has to be found again.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// Flushes by which the disk is described.
const FLUSHES: u64 = 50;

/// Who keeps the history.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// The client, which sends it.
    Client,
    Embedded,
    Redis,
}

impl Column for Keeper {
    const COLUMNS: &'static [Self] = &[Self::Client, Self::Embedded, Self::Redis];
    const YARDSTICK: Self = Self::Client;
    const RATED: &'static [Self] = &[Self::Embedded, Self::Redis];

    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Embedded => "embedded",
            Self::Redis => "redis",
        }
    }
}

/// What Redis does while calls are made that do not need it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Answers,
    Frozen,
}

impl Column for Store {
    const COLUMNS: &'static [Self] = &[Self::Answers, Self::Frozen];
    const YARDSTICK: Self = Self::Answers;
    const RATED: &'static [Self] = &[Self::Frozen];

    fn name(self) -> &'static str {
        match self {
            Self::Answers => "redis answers",
            Self::Frozen => "redis frozen",
        }
    }
}

/// The tables of this part.
#[derive(Default)]
pub struct Told {
    pub text: String,
    pub failed: bool,
}

impl Bench {
    /// Calls of sessions that hold 1, 20 and 200 turns, each of which stays as it is: with a turn comes, one goes.
    pub fn sessions(&self) -> io::Result<Told> {
        let redis = Redis::start(child::can_pin().then_some(child::OTHER_CORE));
        let mut rows = Vec::new();
        for turns in TURNS {
            rows.extend(self.kept(turns, &redis));
        }
        let mut failed = rows.iter().any(|it| it.has_failed(Keeper::Embedded));
        let mut text = sizes()?;
        text += &report::table(&rows);
        if let Ok(redis) = &redis {
            let rows = self.beside(redis)?;
            failed |= rows.iter().any(|it| it.has_failed(Store::Frozen));
            let _ = write!(text, "\n{}", report::table(&rows));
        }
        Ok(Told { text, failed })
    }

    fn kept(&self, turns: usize, redis: &io::Result<Redis>) -> Vec<Row<Keeper>> {
        let gateways: Vec<_> =
            Keeper::COLUMNS.iter().map(|it| (*it, self.keeper(*it, turns, redis))).collect();
        let name = |what: &str| format!("{what}, {}", counted(turns));
        let mut rows = vec![
            Row::new(&name("CPU µs per call"), 0),
            Row::new(&name("CPU µs per streamed call"), 0),
            Row::new(&name("CPU µs per call at 200/s"), 0),
            Row::new(&name("p50 at 200/s, µs"), 0).uncompared(),
            Row::new(&name("p99 at 200/s, µs"), 0).uncompared(),
        ];
        rows = self.rounds(&format!("sessions, {turns}"), rows, Keeper::COLUMNS, |keeper| {
            match gateways.iter().find(|(it, _)| *it == keeper) {
                Some((_, Ok(gateway))) => self.talked(gateway, keeper, turns),
                Some((_, Err(error))) => Err(io::Error::new(error.kind(), error.to_string())),
                None => Err(io::Error::other("it was not started")),
            }
        });
        rows.push(rows[3].above(Keeper::Client, &name("added p50, µs")).uncompared());
        rows.push(rows[4].above(Keeper::Client, &name("added p99, µs")).uncompared());
        if let (Ok(redis), Some((_, Ok(gateway)))) = (redis, gateways.last()) {
            rows.extend(counts(redis, gateway, turns));
        }
        rows
    }

    /// A gateway, and the sessions in it.
    fn keeper(&self, keeper: Keeper, turns: usize, redis: &io::Result<Redis>) -> io::Result<Gateway> {
        let store = match (keeper, redis) {
            (Keeper::Client, _) => String::new(),
            (Keeper::Embedded, _) => format!("sessions: {{ stored_turns_max: {turns} }}\n"),
            (Keeper::Redis, Ok(redis)) => redis_store(redis, turns, PATIENT),
            (Keeper::Redis, Err(error)) => return Err(io::Error::new(error.kind(), error.to_string())),
        };
        let gateway = self.stage.start_tollgate("", &store)?;
        if keeper != Keeper::Client {
            let requests = requests(&gateway, keeper, turns, None);
            self.wait(load::repeat(gateway.address, &requests, turns))?;
        }
        Ok(gateway)
    }

    /// What calls cost that go on with a conversation of so many turns, and how long they take.
    fn talked(&self, gateway: &Gateway, keeper: Keeper, turns: usize) -> io::Result<Vec<f64>> {
        let whole = requests(gateway, keeper, turns, None);
        let streams = requests(gateway, keeper, turns, Some(PACE));
        let cost = |requests: &[Arc<[u8]>], calls| {
            self.wait(load::repeat(gateway.address, requests, 1))?;
            let work = || self.wait(load::repeat(gateway.address, requests, calls));
            Ok::<_, io::Error>(self.cost(gateway, work)?.0.each(requests.len() * calls).cpu_us)
        };
        let calls = self.size.session_open_loop_calls;
        let work = || pacing::open_loop(gateway.address, &whole, PERIOD, calls);
        let busy = [cost(&whole, self.size.session_calls)?, cost(&streams, self.size.session_streams)?];
        let (paced, times) = self.cost(gateway, work)?;
        let paced = paced.each(calls as usize).cpu_us;
        let (p50, p99) = (percentile_us(&times, 50), percentile_us(&times, 99));
        Ok([&busy[..], &[paced, p50, p99]].concat())
    }

    /// Calls without a session, while others ask for theirs: with a store that answers, and one that does not.
    fn beside(&self, redis: &Redis) -> io::Result<Vec<Row<Store>>> {
        let gateway = self.stage.start_tollgate("", &redis_store(redis, 1, ""))?;
        let rows = vec![
            Row::new("call without a session, p50 at 500/s, µs", 0),
            Row::new("call without a session, p99 at 500/s, µs", 0),
            Row::new("calls of sessions beside them that were served, %", 0).uncompared(),
        ];
        let plain = payload::chat(gateway.address, PLAIN_BYTES, None);
        let session = payload::talk(gateway.address, 1, Some("beside"), None);
        let calls = 5 * self.size.session_open_loop_calls;
        Ok(self.rounds("store frozen", rows, Store::COLUMNS, |store| {
            await_store(&gateway, &session)?;
            if store == Store::Frozen {
                redis.freeze()?;
            }
            let measured = knocked(&gateway, &session, || {
                pacing::open_loop(gateway.address, &[&plain], BESIDE_PERIOD, calls)
            });
            redis.thaw()?;
            let (times, served) = measured?;
            Ok(vec![percentile_us(&times, 50), percentile_us(&times, 99), 100.0 * served])
        }))
    }
}

/// The waits of a store on a core that others keep busy are not those of one that is away.
const PATIENT: &str = "store_ms: 10000, redis: { command_ms: 10000 }";

fn redis_store(redis: &Redis, turns: usize, more: &str) -> String {
    format!("sessions: {{ store: \"{}\", stored_turns_max: {turns}, {more} }}\n", redis.url())
}

fn counted(turns: usize) -> String {
    if turns == 1 { "1 turn".to_owned() } else { format!("{turns} turns") }
}

/// One request for each session. Sessions of one Redis are told apart by how long they are.
fn requests(gateway: &Gateway, keeper: Keeper, turns: usize, pace: Option<Pace>) -> Vec<Arc<[u8]>> {
    let id = |number: usize| (keeper != Keeper::Client).then(|| format!("talk-{turns}-{number}"));
    let request = |number| payload::talk(gateway.address, turns, id(number).as_deref(), pace).into();
    (0..SESSIONS).map(request).collect()
}

/// What one turn after the other asks of Redis.
fn counts(redis: &Redis, gateway: &Gateway, turns: usize) -> Vec<Row<Keeper>> {
    let count = || {
        let request = payload::talk(gateway.address, turns, Some(&format!("talk-{turns}-0")), None);
        let before = redis.counts()?;
        // one more call is made before those that are timed
        pacing::one_by_one(gateway.address, &request, COUNTED - 1)?;
        let counts = redis.counts()?.since(&before);
        Ok::<_, io::Error>([counts.scripts / COUNTED as f64, counts.reads / COUNTED as f64])
    };
    let label = |what: &str| format!("{what}, {}", counted(turns));
    let mut rows = [Row::new(&label("scripts per turn"), 2), Row::new(&label("Redis's reads per turn"), 2)]
        .map(Row::uncompared);
    match count() {
        Ok(values) => rows.iter_mut().zip(values).for_each(|(row, it)| row.add(Keeper::Redis, it)),
        Err(error) => rows.iter_mut().for_each(|it| it.fail(Keeper::Redis, &error)),
    }
    rows.into()
}

/// Until a call of a session is served again.
fn await_store(gateway: &Gateway, request: &[u8]) -> io::Result<()> {
    let mut caller = Caller::open(gateway.address)?;
    let started = Instant::now();
    while caller.ask(request)? != 200 {
        if started.elapsed() > RECOVERY_MAX {
            return Err(io::Error::other("the store was not found again"));
        }
        thread::sleep(KNOCK);
    }
    Ok(())
}

/// Does `work` while somebody asks for a session all the time, and says how many of those calls were served.
fn knocked<T>(
    gateway: &Gateway,
    request: &[u8],
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<(T, f64)> {
    let mut caller = Caller::open(gateway.address)?;
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let knocker = scope.spawn(|| {
            let (mut served, mut asked) = (0, 0);
            while !ends.load(Ordering::Relaxed) {
                served += usize::from(caller.ask(request)? == 200);
                asked += 1;
                thread::sleep(KNOCK);
            }
            Ok::<_, io::Error>(served as f64 / f64::from(asked.max(1)))
        });
        let done = work();
        ends.store(true, Ordering::Relaxed);
        let share = knocker.join().map_err(|_| io::Error::other("a caller came to grief"))?;
        Ok((done?, share?))
    })
}

/// What is sent, and what the disk is like on which the embedded store stands.
fn sizes() -> io::Result<String> {
    let bytes = |turns| payload::talk_body(turns, None).len();
    let turn = bytes(1) - bytes(0);
    let sent = TURNS.map(|it| format!("{} with {}", bytes(it), counted(it))).join(", ");
    let events = PACE.events + FRAMING_EVENTS;
    Ok(format!(
        "a turn is {turn} bytes, a stream {events} events; the body of a call has {} bytes without its history, {sent}; \
         a flush of this disk takes {:.1} ms (p50)\n\n",
        bytes(0),
        flush_ms()?
    ))
}

/// Time of a small write that is made durable.
fn flush_ms() -> io::Result<f64> {
    let directory = child::directory()?;
    let file = File::create(directory.join("flush"))?;
    let mut times = Vec::new();
    for number in 0..FLUSHES {
        let started = Instant::now();
        file.write_all_at(&[7; 4_096], number * 4_096)?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    std::fs::remove_dir_all(directory)?;
    Ok(percentile_us(&times, 50) / 1e3)
}
