//! The measurements. Each takes its contestants in turn, round after round, so that a machine that grows warm or busy is
//! unfair to all of them alike.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::runtime::Runtime;

use crate::contestant::{Gateway, Kind, Stage};
use crate::load;
use crate::overload;
use crate::pacing;
use crate::payload::{self, Pace};
use crate::proc::{self, CpuTime};
use crate::report::{Column, Row};
use crate::vendor::FRAMING_EVENTS;

const CONNECTIONS: usize = 32;
const SMALL_BYTES: usize = 1_000;
const LARGE_BYTES: usize = 100_000;
const PROMPT_BYTES: usize = 10_000_000;

/// Streams whose events come in bursts, as under load, and streams whose events each find a sleeping gateway.
const MANY_STREAMS: usize = 32;
const FEW_STREAMS: usize = 2;

/// Between two events of one stream. With 32 streams a gateway is late, and reads two at once, beyond 62 µs per event.
const BETWEEN_EVENTS: Duration = Duration::from_millis(2);

/// Between two events of a stream that is held open: life enough for every buffer to have been used.
const BETWEEN_HELD_EVENTS: Duration = Duration::from_millis(250);
const HELD_STREAMS: usize = 2_000;
const HELD_CONNECTIONS: usize = 64;

/// Calls that the gateway takes in the measurement of overload, and the events of each: 42 ms.
const PLACES: usize = 64;
const PLACE_EVENTS: usize = 20;

/// Open files of a gateway with 2,000 streams: a client and a vendor each, and some of its own.
const HELD_FILES: usize = 2 * HELD_STREAMS + 200;

/// Time for what follows a start or the last answer: first probes, log lines, freed buffers.
const SETTLE: Duration = Duration::from_millis(300);
const TRAIL: Duration = Duration::from_millis(10);

/// Between two calls of the open loop: 500 per second.
const PERIOD: Duration = Duration::from_millis(2);
/// No single sample takes as long as this, unless a contestant has stalled.
const SAMPLE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    Cpu,
    Stream,
    Latency,
    Memory,
    Start,
    Overload,
    Sessions,
    Translation,
}

/// How much of everything.
pub struct Size {
    pub rounds: usize,
    small_calls: usize,
    large_calls: usize,
    stream_events: usize,
    open_loop_calls: u32,
    prompts: usize,
    starts: usize,
    overload: Duration,
    /// Of each session in one sample: one after the other, streamed, and in the open loop.
    pub session_calls: usize,
    pub session_streams: usize,
    pub session_open_loop_calls: u32,
    pub translated_calls: usize,
}

impl Size {
    pub const FULL: Self = Self {
        rounds: 5,
        small_calls: 30_000,
        large_calls: 5_000,
        stream_events: 500,
        open_loop_calls: 2_500,
        prompts: 10,
        starts: 5,
        overload: Duration::from_secs(5),
        session_calls: 60,
        session_streams: 8,
        session_open_loop_calls: 600,
        translated_calls: 1_000,
    };
    pub const QUICK: Self = Self {
        rounds: 2,
        small_calls: 10_000,
        large_calls: 2_000,
        stream_events: 500,
        open_loop_calls: 800,
        prompts: 5,
        starts: 3,
        overload: Duration::from_secs(2),
        session_calls: 20,
        session_streams: 3,
        session_open_loop_calls: 200,
        translated_calls: 200,
    };
}

pub struct Bench {
    pub stage: Stage,
    pub runtime: Runtime,
    pub size: Size,
    /// Open files that each process may have; `None` is no limit.
    pub open_files_max: Option<usize>,
    /// Largest share of a measurement that the passthrough, which has only one thread, had to wait for its core.
    pub disturbance: Cell<f64>,
}

impl Bench {
    /// Nothing of a phase that has tables of its own.
    pub fn run(&self, phase: Phase) -> Vec<Row<Kind>> {
        match phase {
            Phase::Cpu => self.cpu(),
            Phase::Stream => self.stream(),
            Phase::Latency => self.latency(),
            Phase::Memory => self.memory(),
            Phase::Start => self.start(),
            Phase::Overload => self.overload(),
            Phase::Sessions | Phase::Translation => Vec::new(),
        }
    }

    fn cpu(&self) -> Vec<Row<Kind>> {
        let field = Field::start(&self.stage);
        let rows = vec![
            Row::new("CPU µs per request, 1 KB", 1),
            Row::new("CPU µs per request, 100 KB", 1),
            Row::new("requests per second on one core, 1 KB", 0),
            Row::new("share of that core used, 1 KB, %", 0).uncompared(),
        ];
        self.rounds("cpu", rows, &Kind::GATEWAYS, |kind| {
            let gateway = field.gateway(kind)?;
            let small = self.saturated(gateway, SMALL_BYTES, self.size.small_calls)?;
            let large = self.saturated(gateway, LARGE_BYTES, self.size.large_calls)?;
            let (per_second, share) = (1e6 / small.wall_us, 100.0 * small.cpu_us / small.wall_us);
            Ok(vec![small.cpu_us, large.cpu_us, per_second, share])
        })
    }

    /// Cost per request with keep-alive connections that are never idle.
    fn saturated(&self, gateway: &Gateway, body_bytes: usize, calls: usize) -> io::Result<Cost> {
        let request: Arc<[u8]> = payload::chat(gateway.address, body_bytes, None).into();
        let connections = self.wait(async {
            let connections = load::open(gateway.address, CONNECTIONS).await?;
            load::saturate(connections, &request, calls / 10).await
        })?;
        let (cost, _) = self.cost(gateway, || self.wait(load::saturate(connections, &request, calls)))?;
        Ok(cost.each(calls))
    }

    fn stream(&self) -> Vec<Row<Kind>> {
        let field = Field::start(&self.stage);
        let rows = vec![
            Row::new(&format!("CPU µs per event, {MANY_STREAMS} streams"), 1),
            Row::new("reads per event at the client", 2).uncompared(),
            Row::new(&format!("CPU µs per event, {FEW_STREAMS} streams"), 1),
            Row::new("reads per event at the client", 2).uncompared(),
        ];
        self.rounds("stream", rows, &Kind::GATEWAYS, |kind| {
            let gateway = field.gateway(kind)?;
            let many = self.streamed(gateway, MANY_STREAMS)?;
            let few = self.streamed(gateway, FEW_STREAMS)?;
            Ok([many, few].concat())
        })
    }

    /// Cost per event of `streams` streams at once, and in how many reads an event arrived.
    fn streamed(&self, gateway: &Gateway, streams: usize) -> io::Result<Vec<f64>> {
        let pace = Pace { events: self.size.stream_events, between: BETWEEN_EVENTS };
        let request = payload::chat(gateway.address, SMALL_BYTES, Some(pace)).into();
        let warm = payload::chat(gateway.address, SMALL_BYTES, None).into();
        let connections = self.wait(async {
            let connections = load::open(gateway.address, streams).await?;
            load::saturate(connections, &warm, streams * 10).await
        })?;
        let (cost, arrival) = self.cost(gateway, || self.wait(load::stream(connections, &request)))?;
        let expected = streams * (pace.events + FRAMING_EVENTS);
        if arrival.events != expected {
            return Err(io::Error::other(format!("{} events arrived, not {expected}", arrival.events)));
        }
        Ok(vec![cost.each(expected).cpu_us, arrival.reads as f64 / expected as f64])
    }

    fn latency(&self) -> Vec<Row<Kind>> {
        let field = Field::start(&self.stage);
        let rows = vec![
            Row::new("latency p50 at 500 requests/s, µs", 0).uncompared(),
            Row::new("latency p99 at 500 requests/s, µs", 0).uncompared(),
            Row::new("10 MB prompt, p50, ms", 1),
        ];
        let mut rows = self.rounds("latency", rows, Kind::COLUMNS, |kind| {
            let address = field.address(kind)?;
            let request = payload::chat(address, SMALL_BYTES, None);
            let work = || pacing::open_loop(address, &[&request], PERIOD, self.size.open_loop_calls);
            let times = match kind {
                Kind::Direct => work()?,
                _ => self.cost(field.gateway(kind)?, work)?.1,
            };
            let prompt = payload::chat(address, PROMPT_BYTES, None);
            let prompts = pacing::one_by_one(address, &prompt, self.size.prompts)?;
            let p99 = percentile_us(&times, 99);
            Ok(vec![percentile_us(&times, 50), p99, percentile_us(&prompts, 50) / 1e3])
        });
        // the difference of two tails may be nothing or less, so a ratio of it means nothing
        let added_p99 = rows[1].above(Kind::Direct, "added p99, µs").uncompared();
        let added = [rows[0].above(Kind::Direct, "added p50, µs"), added_p99];
        rows.splice(2..2, added);
        rows
    }

    fn memory(&self) -> Vec<Row<Kind>> {
        let mut rows = vec![
            Row::new("RSS idle, MB", 1),
            Row::new(&format!("RSS with {HELD_CONNECTIONS} connections, MB"), 1),
        ];
        let holds = self.open_files_max.is_none_or(|max| max >= HELD_FILES);
        if holds {
            rows.push(Row::new(&format!("RSS with {HELD_STREAMS} open streams, MB"), 1));
        } else {
            println!(
                "skipped: {HELD_STREAMS} open streams take {HELD_FILES} open files; the hard limit is lower\n"
            );
        }
        self.rounds("memory", rows, &Kind::GATEWAYS, |kind| {
            let gateway = self.stage.start(kind)?;
            thread::sleep(SETTLE);
            let idle = proc::resident_mb(gateway.pid())?;
            let request: Arc<[u8]> = payload::chat(gateway.address, SMALL_BYTES, None).into();
            let connections = self.wait(async {
                let connections = load::open(gateway.address, HELD_CONNECTIONS).await?;
                load::saturate(connections, &request, HELD_CONNECTIONS * 20).await
            })?;
            let connected = proc::resident_mb(gateway.pid())?;
            drop(connections);
            let mut values = vec![idle, connected];
            if holds {
                values.push(self.held(&gateway)?);
            }
            Ok(values)
        })
    }

    /// Resident megabytes while every stream is open.
    fn held(&self, gateway: &Gateway) -> io::Result<f64> {
        let pace = Pace { events: 1_000_000, between: BETWEEN_HELD_EVENTS };
        let request = payload::chat(gateway.address, SMALL_BYTES, Some(pace)).into();
        self.wait(async {
            let streams = load::hold(gateway.address, HELD_STREAMS, &request).await?;
            tokio::time::sleep(2 * BETWEEN_HELD_EVENTS).await;
            let resident = proc::resident_mb(gateway.pid());
            drop(streams);
            resident
        })
    }

    fn start(&self) -> Vec<Row<Kind>> {
        let rows = vec![Row::new("start until ready, ms", 1)];
        self.rounds("start", rows, &Kind::GATEWAYS, |kind| {
            let mut times = Vec::new();
            for _ in 0..self.size.starts {
                times.push(self.stage.start(kind)?.ready_after);
            }
            Ok(vec![percentile_us(&times, 50) / 1e3])
        })
    }

    /// As many callers as there are places, then twice as many.
    fn overload(&self) -> Vec<Row<Kind>> {
        let rows = vec![
            Row::new("calls served per second, callers as many as places", 0).uncompared(),
            Row::new("the same with twice as many callers, share of it", 2).uncompared(),
            Row::new("time of a refusal, p99, ms", 1).uncompared(),
        ];
        self.rounds("overload", rows, &[Kind::Tollgate], |_| {
            let gateway = self.stage.start_tollgate("", &format!("limits: {{ calls_max: {PLACES} }}\n"))?;
            let pace = Pace { events: PLACE_EVENTS, between: BETWEEN_EVENTS };
            let request = payload::chat(gateway.address, SMALL_BYTES, Some(pace)).into();
            let drive =
                |callers| self.wait(overload::drive(gateway.address, callers, &request, self.size.overload));
            let (full, crowded) = (drive(PLACES)?, drive(2 * PLACES)?);
            if crowded.refusals.is_empty() {
                return Err(io::Error::other("it refused nobody"));
            }
            let per_second = full.served as f64 / self.size.overload.as_secs_f64();
            let share = crowded.served as f64 / full.served as f64;
            Ok(vec![per_second, share, percentile_us(&crowded.refusals, 99) / 1e3])
        })
    }

    /// Fills `rows` with what `measure` returns, one value for each of them, in every round and for every contestant.
    pub fn rounds<C: Column>(
        &self,
        name: &str,
        mut rows: Vec<Row<C>>,
        kinds: &[C],
        measure: impl Fn(C) -> io::Result<Vec<f64>>,
    ) -> Vec<Row<C>> {
        for round in 0..self.size.rounds {
            eprintln!("{name}: round {} of {}", round + 1, self.size.rounds);
            let mut turns = kinds.to_vec();
            if round % 2 == 1 {
                turns.reverse();
            }
            for kind in turns {
                if rows.iter().any(|it| it.has_failed(kind)) {
                    continue;
                }
                match measure(kind) {
                    Ok(values) => rows.iter_mut().zip(values).for_each(|(row, value)| row.add(kind, value)),
                    Err(error) => rows.iter_mut().for_each(|it| it.fail(kind, &error)),
                }
            }
        }
        rows
    }

    /// What `work` costs the gateway, with what it does after the last answer.
    pub fn cost<T>(&self, gateway: &Gateway, work: impl FnOnce() -> io::Result<T>) -> io::Result<(Cost, T)> {
        thread::sleep(TRAIL);
        let before = CpuTime::of(gateway.pid())?;
        let started = Instant::now();
        let done = work()?;
        let wall_us = started.elapsed().as_secs_f64() * 1e6;
        thread::sleep(TRAIL);
        let spent = CpuTime::of(gateway.pid())?.since(&before);
        if gateway.kind == Kind::Passthrough {
            self.disturbance.set(self.disturbance.get().max(spent.waiting_us / wall_us));
        }
        Ok((Cost { cpu_us: spent.running_us, wall_us }, done))
    }

    pub fn wait<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let bounded = async { tokio::time::timeout(SAMPLE_MAX, work).await };
        self.runtime.block_on(bounded).map_err(|_| io::Error::other("it stalled"))?
    }
}

pub struct Cost {
    pub cpu_us: f64,
    pub wall_us: f64,
}

impl Cost {
    pub fn each(&self, count: usize) -> Self {
        Self { cpu_us: self.cpu_us / count as f64, wall_us: self.wall_us / count as f64 }
    }
}

/// The gateways of one phase, all running from its start to its end.
struct Field {
    direct: SocketAddr,
    gateways: Vec<(Kind, io::Result<Gateway>)>,
}

impl Field {
    fn start(stage: &Stage) -> Self {
        let gateways = Kind::GATEWAYS.into_iter().map(|kind| (kind, stage.start(kind))).collect();
        Self { direct: stage.vendor_address(), gateways }
    }

    fn gateway(&self, kind: Kind) -> io::Result<&Gateway> {
        match self.gateways.iter().find(|(it, _)| *it == kind) {
            Some((_, Ok(gateway))) => Ok(gateway),
            Some((_, Err(error))) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Err(io::Error::other("it is no gateway")),
        }
    }

    fn address(&self, kind: Kind) -> io::Result<SocketAddr> {
        match kind {
            Kind::Direct => Ok(self.direct),
            _ => self.gateway(kind).map(|it| it.address),
        }
    }
}

pub fn percentile_us(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).map_or(f64::NAN, |it| it.as_secs_f64() * 1e6)
}
