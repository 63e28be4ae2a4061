//! `cargo bench --bench routing`: what deciding costs, and what the decisions are worth.
//!
//! `plan` times the planner over up to 20 targets under each policy, and what it leans on. `day` replays a day of mixed
//! traffic over four simulated vendors under each policy and two oracles. After `--`: `--only plan|day` for a part.

mod day;
mod deciding;
mod table;
mod timing;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
struct Flags {
    /// Only these measurements.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Phase>,
    /// What the day's traffic and luck are drawn from; the same comes to the same table.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// The cost of deciding.
    Plan,
    /// The worth of deciding.
    Day,
}

fn main() -> ExitCode {
    // `cargo test` runs benches too, with any arguments but `--bench`; it must neither wait nor fail.
    if !std::env::args().any(|it| it == "--bench") {
        println!("measures only under `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let flags = Flags::parse();
    let wanted = |phase: Phase| flags.only.is_empty() || flags.only.contains(&phase);
    if wanted(Phase::Plan) {
        deciding::measure();
    }
    if wanted(Phase::Day) {
        worth(flags.seed);
    }
    ExitCode::SUCCESS
}

/// Replays the whole day under every pilot.
fn worth(seed: u64) {
    let traffic = day::Traffic::of(day::Span { from: 0, to: 24 }, seed);
    println!("{} calls, seed {seed}\n", traffic.calls.len());
    print!("{}", table::head());
    for (name, pilot) in table::PILOTS {
        print!("{}", table::row(name, &day::replay(&traffic, pilot)));
    }
}
