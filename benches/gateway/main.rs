//! `cargo bench --bench gateway`: Tollgate beside the least gateway that hyper allows, beside nginx, and beside no gateway,
//! measured in one run on this machine.
//!
//! The gateway under test has one worker thread and core 0 to itself; the load generator (this process) and the vendor (a
//! child) share core 1. Only the gateway's CPU time is counted, as the kernel accounts it per thread. Rounds alternate
//! between the contestants; the table shows the median of the rounds, their spread, and ratios taken within each round.
//! After `--`: `--quick` for two small rounds, `--only cpu|stream|latency|memory|start|overload|sessions|translation` for a part.
//!
//! `sessions` has tables of its own: calls of a session against the same calls with their history in them, with what is
//! stored in the gateway's file and in a Redis on core 1. So has `translation`: each dialect of a client at each dialect
//! of a vendor, the same one on both sides among them.

mod child;
mod contestant;
mod dialects;
mod load;
mod measure;
mod overload;
mod pacing;
mod passthrough;
mod payload;
mod proc;
mod redis;
mod report;
mod sessions;
mod translation;
mod vendor;
mod wire;

use std::cell::Cell;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use http::uri::Authority;

use crate::contestant::{Kind, Stage};
use crate::measure::{Bench, Phase, Size};
use crate::report::Row;

/// Open files that suffice for everything; asking for all that is allowed would make large tables in some programs.
const OPEN_FILES: usize = 16_384;

/// Share of a sample that the passthrough may wait for its core before the figures come with a warning.
const DISTURBANCE_MAX: f64 = 0.02;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by those who only want to know whether this starts.
    #[arg(long, hide = true)]
    test: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Args)]
struct Options {
    /// Two rounds and fewer calls: for a look, not for figures.
    #[arg(long)]
    quick: bool,
    /// Only these measurements.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Phase>,
}

/// What this program is as a child of itself.
#[derive(Subcommand)]
#[command(hide = true)]
enum Role {
    /// The measuring process, on its own core and with files enough.
    Measure(Options),
    Vendor,
    Passthrough {
        upstream: Authority,
    },
}

fn main() -> ExitCode {
    if !is_asked_for() {
        println!("measures only under `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let flags = Flags::parse();
    let done = match flags.role {
        Some(Role::Vendor) => vendor::serve().map(|()| ExitCode::SUCCESS),
        Some(Role::Passthrough { upstream }) => passthrough::serve(&upstream).map(|()| ExitCode::SUCCESS),
        Some(Role::Measure(options)) => measure(&options),
        None if flags.test => Ok(ExitCode::SUCCESS),
        None => become_measurer(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("bench: {error}");
        ExitCode::FAILURE
    })
}

/// `cargo test` runs benches too, with any arguments but `--bench`; it must neither wait nor fail.
fn is_asked_for() -> bool {
    let is_role = std::env::args().nth(1).is_some_and(|it| Role::has_subcommand(&it));
    is_role || std::env::args().any(|it| it == "--bench")
}

/// Becomes the same program once more, with its core and its limit of open files set by the tools that can.
fn become_measurer() -> io::Result<ExitCode> {
    let (_, hard) = proc::open_files_max()?;
    let wanted = hard.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    let core = child::can_pin().then_some(child::OTHER_CORE);
    let program = child::command(&std::env::current_exe()?, core);
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -S -n "$1"; shift; exec "$@""#, "sh", &wanted.to_string()]);
    command.arg(program.get_program()).args(program.get_args()).arg("measure");
    command.args(std::env::args_os().skip(1).filter(|it| it != "--bench"));
    Err(command.exec())
}

fn measure(options: &Options) -> io::Result<ExitCode> {
    let pinned = child::can_pin();
    let (open_files_max, _) = proc::open_files_max()?;
    let size = if options.quick { Size::QUICK } else { Size::FULL };
    let (stage, runtime, disturbance) = (Stage::set(pinned)?, child::runtime()?, Cell::new(0.0));
    let mut bench = Bench { stage, runtime, size, open_files_max, disturbance };
    println!("{}; {} rounds; {}\n", proc::machine(), bench.size.rounds, placement(pinned));
    let wanted = |phase: &Phase| options.only.is_empty() || options.only.contains(phase);
    let mut rows = Vec::new();
    for phase in Phase::value_variants().iter().filter(|it| wanted(it)) {
        rows.extend(bench.run(*phase));
    }
    if !rows.is_empty() {
        print!("{}", report::table(&rows));
    }
    let sessions = if wanted(&Phase::Sessions) { bench.sessions()? } else { sessions::Told::default() };
    print!("{}", sessions.text);
    let translation = if wanted(&Phase::Translation) { bench.translation()? } else { Vec::new() };
    if !translation.is_empty() {
        print!("\n{}", report::table(&translation));
    }
    if bench.disturbance.get() > DISTURBANCE_MAX {
        let percent = 100.0 * bench.disturbance.get();
        println!(
            "\ndisturbed: other processes kept the passthrough off its core for up to {percent:.0} % of a sample"
        );
    }
    if !bench.stage.vendor_lives() {
        return Err(io::Error::other("the vendor ended during the run: the figures mean nothing"));
    }
    let failed = sessions.failed || rows.iter().any(|it| it.has_failed(Kind::Tollgate));
    let failed = failed || translation.iter().any(Row::has_any_failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn placement(pinned: bool) -> &'static str {
    if pinned {
        "gateway on core 0, load and vendor on core 1"
    } else {
        "not pinned: too few cores, or no taskset"
    }
}
