//! What it costs to decide: one plan over 1, 5 and 20 targets under each policy, alone and on two threads at once, and the
//! estimates and sums that it rests on.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate::api::usage::{ServiceTier, Usage};
use tollgate::health::warmth::Warm;
use tollgate::health::{CircuitOptions, UpstreamHealth};
use tollgate::names::UpstreamId;
use tollgate::price::PriceBook;
use tollgate::price::estimate::prompt_tokens;
use tollgate::price::options::PriceOptions;
use tollgate::route::ask::{Ask, Wants};
use tollgate::route::options::PolicyName;
use tollgate::route::plan::plan;
use tollgate::route::table::{Bounds, Route};
use tollgate::route::target::{Experience, Offer, Target};
use tollgate::telemetry::metrics::Metrics;
use tollgate::vendor::models::FactOptions;

use crate::timing::{self, Rounds};

const POLICIES: [PolicyName; 5] = [
    PolicyName::Priority,
    PolicyName::Weighted,
    PolicyName::Cheapest,
    PolicyName::Fastest,
    PolicyName::Balanced,
];

/// Numbers of targets.
const SIZES: [usize; 3] = [1, 5, 20];

/// A Tuesday noon, in Unix seconds.
const AT: u64 = 1_795_521_600;

/// Rounds in which one thread and two take turns.
const TURNS: usize = 7;

/// Nanoseconds of a microsecond.
const MICRO: f64 = 1_000.0;

pub fn measure() {
    println!(
        "| one plan, median (min–max) | 1 target | 5 targets | 20 targets | two threads ÷ one, 20 targets |"
    );
    println!("|---|--:|--:|--:|--:|");
    for policy in POLICIES {
        let cells: String = SIZES
            .iter()
            .map(|it| format!(" {} |", alone(&route(policy, *it, true)).told(MICRO, "µs")))
            .collect();
        println!("| `{}` |{cells} {} |", policy.as_str(), together(&route(policy, 20, true)));
    }
    let kept = alone(&route(PolicyName::Cheapest, 20, false)).told(MICRO, "µs");
    println!("| `cheapest`, the client's own model name | | | {kept} | |");
    leaned_on();
}

fn alone(route: &Arc<Route>) -> Rounds {
    let (ask, now) = (ask(), Instant::now());
    timing::rounds(|| drop(black_box(plan(route, ask.clone(), now))))
}

/// How much more two threads plan in the same time than one does, over the same route.
fn together(route: &Arc<Route>) -> String {
    let one = || {
        let (ask, now) = (ask(), Instant::now());
        timing::round(&mut || drop(black_box(plan(route, ask.clone(), now))))
    };
    let ratio = |_| {
        let single = one();
        let both = std::thread::scope(|scope| {
            [scope.spawn(one), scope.spawn(one)].map(|it| it.join().expect("planning does not panic"))
        });
        single / both[0] + single / both[1]
    };
    Rounds::new((0..TURNS).map(ratio).collect()).told(1.0, "×")
}

/// A call that touches all that may decide: tools, tags, and a conversation that is warm at the last target.
fn ask() -> Ask {
    Ask {
        prompt_tokens: 5_000,
        output_max: Some(1_000),
        wants: Wants { tools: true, ..Wants::default() },
        conversation: Some(7),
        tags: vec!["eu".to_owned()],
        ..Ask::of_model("gpt-4o", AT)
    }
}

/// Targets that differ in all that a policy looks at. `named`: each has a model of its own, else the client's.
fn route(policy: PolicyName, count: usize, named: bool) -> Arc<Route> {
    let metrics = Metrics::new();
    let targets: Vec<_> = (0..count).map(|it| Arc::new(target(it, named, &metrics))).collect();
    let bounds = Bounds { tags: vec!["chat".to_owned()], ..Bounds::default() };
    let plain = Route::plain("r", targets, &Arc::default());
    let route = Route { policy, explore_percent: 2, bounds, ..plain };
    let holder = route.targets[count - 1].fingerprint("gpt-4o");
    route.warmth.note(7, Warm { target: holder, key: 0, tokens: 4_000 }, Instant::now());
    route.output.note(ask().output_kind(), 300);
    Arc::new(route)
}

fn target(slot: usize, named: bool, metrics: &Metrics) -> Target {
    let (upstream, now) = (UpstreamId::from(format!("upstream-{slot}")), Instant::now());
    let price = price(slot);
    let (model, own) = if named { (Some("gpt-4o"), Some(&price)) } else { (None, None) };
    let offer = Offer::new((&upstream, "openai"), model, PriceBook::built_in(), own, FactOptions::default());
    let target = Target {
        metrics: metrics.target("r", upstream.as_str()),
        upstream,
        slot,
        model: model.map(Into::into),
        weight: slot as u32 + 1,
        tags: vec!["eu".to_owned(), "chat".to_owned()],
        health: Arc::new(UpstreamHealth::new(CircuitOptions::default(), 2)),
        experience: Experience::default(),
        offer,
    };
    target.experience.pace.first_token(Duration::from_millis(300 + 37 * (slot as u64 * 7 % 20)), now);
    target.experience.pace.tokens(100, Duration::from_millis(1_000 + 90 * (slot as u64 * 3 % 20)), now);
    target
}

/// A price with a bound on the prompt and peak hours, as the longest of the catalogue have.
fn price(slot: usize) -> PriceOptions {
    let yaml = format!(
        r#"{{input: 0.{0}, cached_input: 0.0{0}, output: 1.{0}, when: [
            {{tokens_above: 200000, input: 1, output: 4}},
            {{utc: ["01:00-04:00", "06:00-10:00"], days: [mon, tue, wed, thu, fri], except: china, input: 2, output: 3}}]}}"#,
        10 + slot * 13 % 20
    );
    serde_saphyr::from_str(&yaml).expect("the price can be read")
}

/// The estimates and sums that plans and bills rest on.
fn leaned_on() {
    println!("\n| median (min–max) | |\n|---|--:|");
    for (name, bytes) in [("1 KB", 1_000), ("100 KB", 100_000), ("20 MB", 20_000_000)] {
        let body = body(bytes);
        let rounds = timing::rounds(|| {
            black_box(prompt_tokens(black_box(&body)));
        });
        println!("| `prompt_tokens` of {name} | {} |", rounds.told(MICRO, "µs"));
    }
    let book = PriceBook::built_in();
    let looked_up = timing::rounds(|| {
        black_box(book.price(black_box("openai"), black_box("gpt-4o-2024-08-06")));
    });
    println!("| `PriceBook::price`, a dated name | {} |", looked_up.told(1.0, "ns"));
    let price = book.own(&price(1)).expect("the price can be read");
    let usage = Usage { input: 5_000, cached_input: 4_000, output: 300, ..Usage::default() };
    let summed = timing::rounds(|| {
        black_box(price.cost(black_box(&usage), black_box(AT), ServiceTier::Default));
    });
    println!("| `Price::cost` | {} |\n", summed.told(1.0, "ns"));
}

/// A chat call's body of about that length, of many messages.
fn body(bytes: usize) -> Vec<u8> {
    let message = r#"{"role":"user","content":"Please look at section 4 of the report; café prices rose by 3.5 % in 2026.\n"},"#;
    let mut body = br#"{"model":"smart","messages":["#.to_vec();
    while body.len() + message.len() < bytes {
        body.extend_from_slice(message.as_bytes());
    }
    body.pop();
    body.extend_from_slice(b"]}");
    body
}
