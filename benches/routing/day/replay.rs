//! The calls of a day one event after the other, each decided by its pilot, with failover as `upstream::dispatch` does it
//! and beliefs told as `upstream::attempt` and `upstream::bill` tell them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tollgate::api::money::Money;
use tollgate::error::Kind;
use tollgate::health::warmth::Warm;
use tollgate::health::{CircuitOptions, RetryPass, RetryRules, UpstreamHealth, Verdict};
use tollgate::route::ask::{Ask, Wants};
use tollgate::route::legs::Leg;
use tollgate::route::options::PolicyName;
use tollgate::route::plan::plan_with;
use tollgate::route::table::Route;
use tollgate::upstream::attempt::verdict;
use tollgate::upstream::dispatch::is_about_the_key;
use tollgate::upstream::options::FailoverOptions;
use tollgate::upstream::terms::Terms;

use super::route::{MODEL, UNIX_MIDNIGHT, fresh, prices};
use super::traffic::{Call, Traffic};
use super::vendors::VENDORS;
use super::world::{Answer, FAILED_MS, RATE_LIMITED_MS, Served, UNREACHABLE_MS, World};
use super::{Outcome, Pilot};

/// What becomes of the traffic under that pilot. Nothing is left to chance: the same traffic comes to the same outcome.
pub fn replay(traffic: &Traffic, pilot: Pilot) -> Outcome {
    let policy = match pilot {
        Pilot::Policy(policy) => policy,
        Pilot::CostOracle | Pilot::TimeOracle => PolicyName::Priority,
    };
    // Circuits draw their time-outs by the thread's own dice.
    fastrand::seed(traffic.seed);
    let route = fresh(policy);
    let mut replay = Replay::new(&route, traffic);
    for index in 0..traffic.calls.len() {
        replay.happens_at(traffic.calls[index].at_ms, Event::Arrives(index));
    }
    while let Some(Reverse((now_ms, _, event))) = replay.events.pop() {
        replay.now_ms = now_ms;
        match event {
            Event::Arrives(index) if matches!(pilot, Pilot::Policy(_)) => replay.plan(index),
            Event::Arrives(index) => replay.foresee(index, pilot),
            Event::Fails(index) => replay.fails(index),
            Event::Begins(index) => replay.begins(index),
            Event::Ends(index) => replay.ends(index),
        }
    }
    replay.outcome
}

/// Something that happens to the call of that index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    /// Its attempt fails.
    Fails(usize),
    /// Its first token is there.
    Begins(usize),
    /// Its answer is whole.
    Ends(usize),
}

struct Replay<'a> {
    route: &'a Arc<Route>,
    traffic: &'a Traffic,
    world: World,
    /// By time, then in the order in which they were foreseen.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    foreseen: u64,
    flights: HashMap<usize, Flight<'a>>,
    dice: RefCell<Rng>,
    failover: FailoverOptions,
    midnight: Instant,
    now_ms: u64,
    outcome: Outcome,
}

/// A call between its plan and its end.
struct Flight<'a> {
    /// Targets that are left.
    queue: VecDeque<usize>,
    panic: bool,
    attempts_left: usize,
    /// The attempt that is under way.
    attempt: Option<Attempt<'a>>,
    has_failed: bool,
}

struct Attempt<'a> {
    slot: usize,
    asked_ms: u64,
    terms: Terms<'a>,
    pass: Option<RetryPass<'a>>,
    answer: Answer,
}

impl<'a> Replay<'a> {
    fn new(route: &'a Arc<Route>, traffic: &'a Traffic) -> Self {
        Self {
            route,
            traffic,
            world: World::new(prices(route)),
            events: BinaryHeap::new(),
            foreseen: 0,
            flights: HashMap::new(),
            dice: RefCell::new(Rng::with_seed(traffic.seed)),
            failover: FailoverOptions::default(),
            midnight: midnight(),
            now_ms: 0,
            outcome: Outcome::default(),
        }
    }

    fn now(&self) -> Instant {
        self.midnight + Duration::from_millis(self.now_ms)
    }

    fn call(&self, index: usize) -> &'a Call {
        &self.traffic.calls[index]
    }

    fn happens_at(&mut self, at_ms: u64, event: Event) {
        self.foreseen += 1;
        self.events.push(Reverse((at_ms, self.foreseen, event)));
    }

    /// A call comes in and is planned by what the gateway knows.
    fn plan(&mut self, index: usize) {
        let ask = asked(self.call(index));
        let plan = plan_with(self.route, ask, self.now(), &|| self.dice.borrow_mut().f64());
        let flight = Flight {
            queue: plan.targets.iter().map(|it| it.slot).collect(),
            panic: plan.panic,
            attempts_left: self.failover.attempts_max,
            attempt: None,
            has_failed: false,
        };
        self.go_on(index, flight);
    }

    /// Asks the next target that may be asked.
    fn go_on(&mut self, index: usize, mut flight: Flight<'a>) {
        while flight.attempts_left > 0
            && let Some(slot) = flight.queue.pop_front()
        {
            let Some((terms, pass)) = self.admit(slot, &flight) else { continue };
            flight.attempts_left -= 1;
            let (call, asked_ms) = (self.call(index), self.now_ms);
            let answer = self.world.ask(slot, call, asked_ms);
            match answer {
                Answer::RateLimited { .. } => {
                    self.happens_at(asked_ms + RATE_LIMITED_MS, Event::Fails(index));
                }
                Answer::Unreachable => self.happens_at(asked_ms + UNREACHABLE_MS, Event::Fails(index)),
                Answer::Refused | Answer::Cut { .. } => {
                    self.happens_at(asked_ms + FAILED_MS, Event::Fails(index));
                }
                Answer::Served(it) => {
                    let first_ms = if call.streams { it.first_ms } else { it.whole_ms };
                    self.happens_at(asked_ms + first_ms, Event::Begins(index));
                    self.happens_at(asked_ms + it.whole_ms, Event::Ends(index));
                }
            }
            flight.attempt = Some(Attempt { slot, asked_ms, terms, pass, answer });
            self.flights.insert(index, flight);
            return;
        }
        self.give_up(index);
    }

    /// On what terms a target may be asked now, as the dispatcher has it.
    fn admit(&self, slot: usize, flight: &Flight<'a>) -> Option<(Terms<'a>, Option<RetryPass<'a>>)> {
        let (target, now) = (&self.route.targets[slot], self.now());
        let rules =
            RetryRules { share_percent: self.failover.retry_share_percent, floor: self.failover.retry_floor };
        let panic = flight.panic;
        let leg = Leg { target, route: self.route, model: MODEL, panic, waits: false, key: None };
        let terms = Terms::of(&leg, now)?;
        match terms {
            Terms::OnTrial(_) => Some((terms, None)),
            Terms::Ordinary | Terms::LastResort { in_part: true } if !flight.has_failed => {
                target.health.note_first_attempt(rules);
                Some((terms, None))
            }
            Terms::Ordinary | Terms::LastResort { .. } => {
                Some((terms, Some(target.health.retry_pass(rules, now)?)))
            }
        }
    }

    fn give_up(&mut self, index: usize) {
        let serves =
            |it: usize| matches!(self.world.peek(it, self.call(index), self.now_ms), Answer::Served(_));
        let needless = (0..VENDORS.len()).any(serves);
        self.outcome.failures += 1;
        self.outcome.needless_failures += usize::from(needless);
    }

    fn fails(&mut self, index: usize) {
        let Some(mut flight) = self.flights.remove(&index) else { return };
        let Some(attempt) = flight.attempt.take() else { return };
        let (target, now) = (&self.route.targets[attempt.slot], self.now());
        let kind = match attempt.answer {
            Answer::RateLimited { retry_after } => {
                target.health.cool_key(0, Some(retry_after), now);
                Kind::RateLimited
            }
            Answer::Unreachable => Kind::Connect,
            Answer::Cut { cost } => {
                self.outcome.cost = self.outcome.cost.plus(cost);
                self.outcome.in_vain = self.outcome.in_vain.plus(cost);
                Kind::Cut
            }
            Answer::Refused | Answer::Served(_) => Kind::VendorFailed,
        };
        if let Some(verdict) = verdict(kind) {
            note(&target.health, &attempt.terms, verdict, now);
        }
        if !is_about_the_key(kind) {
            target.experience.pace.failed(Duration::from_millis(self.now_ms - attempt.asked_ms), now);
        }
        if let Some(pass) = attempt.pass {
            pass.spend();
        }
        self.outcome.failed_attempts += 1;
        flight.has_failed = true;
        self.go_on(index, flight);
    }

    fn begins(&mut self, index: usize) {
        let now = self.now();
        let call = self.call(index);
        let Some(attempt) = self.flights.get(&index).and_then(|it| it.attempt.as_ref()) else { return };
        let target = &self.route.targets[attempt.slot];
        if call.streams {
            target.experience.pace.first_token(Duration::from_millis(self.now_ms - attempt.asked_ms), now);
            self.outcome.first_tokens.push(Duration::from_millis(self.now_ms - call.at_ms));
        }
        // A stream has yet to show that the upstream is well, unless it decides on the circuit.
        if !call.streams || !matches!(attempt.terms, Terms::Ordinary) {
            note(&target.health, &attempt.terms, Verdict::Alive, now);
        }
    }

    fn ends(&mut self, index: usize) {
        let Some(attempt) = self.flights.remove(&index).and_then(|it| it.attempt) else { return };
        let Answer::Served(served) = attempt.answer else { return };
        let (call, now, target) = (self.call(index), self.now(), &self.route.targets[attempt.slot]);
        if call.streams {
            let rest = Duration::from_millis(served.whole_ms - served.first_ms);
            target.experience.pace.tokens(call.output_tokens - 1, rest, now);
            if matches!(attempt.terms, Terms::Ordinary) {
                target.health.note(Verdict::Alive, now);
            }
        } else {
            target.experience.pace.whole(call.output_tokens, Duration::from_millis(served.whole_ms), now);
        }
        self.route.output.note(asked(call).output_kind(), call.output_tokens);
        target.experience.calibration.learn(call.prompt_estimate, served.usage.input);
        if let Some(conversation) = call.conversation {
            let tokens = served.usage.input + served.usage.output;
            let warm = Warm { target: target.fingerprint(MODEL), key: 0, tokens };
            self.route.warmth.note(conversation, warm, now);
        }
        self.serve(call, attempt.slot, served.cost);
    }

    fn serve(&mut self, call: &Call, slot: usize, cost: Money) {
        self.outcome.cost = self.outcome.cost.plus(cost);
        self.outcome.wholes.push(Duration::from_millis(self.now_ms - call.at_ms));
        self.outcome.served[slot] += 1;
    }

    /// A call comes in and goes where an oracle knows it is served best.
    fn foresee(&mut self, index: usize, pilot: Pilot) {
        let call = self.call(index);
        let merit = |(slot, it): &(usize, Served)| match pilot {
            Pilot::TimeOracle => it.whole_ms_mean,
            Pilot::CostOracle | Pilot::Policy(_) => {
                it.cost.plus(self.world.later(*slot, self.traffic, call)).picos() as f64
            }
        };
        let answers = (0..VENDORS.len()).filter_map(|slot| match self.world.peek(slot, call, self.now_ms) {
            Answer::Served(served) => Some((slot, served)),
            _ => None,
        });
        let Some((slot, served)) = answers.min_by(|a, b| merit(a).total_cmp(&merit(b))) else {
            self.outcome.failures += 1;
            return;
        };
        self.world.ask(slot, call, self.now_ms);
        if call.streams {
            self.outcome.first_tokens.push(Duration::from_millis(served.first_ms));
        }
        self.now_ms += served.whole_ms;
        self.serve(call, slot, served.cost);
    }
}

/// What the gateway knows of a call.
fn asked(call: &Call) -> Ask {
    Ask {
        prompt_tokens: call.prompt_estimate,
        output_max: call.output_max,
        wants: Wants { tools: call.tools, ..Wants::default() },
        conversation: call.conversation,
        ..Ask::of_model(MODEL, UNIX_MIDNIGHT + call.at_ms / 1_000)
    }
}

fn note(health: &UpstreamHealth, terms: &Terms<'_>, verdict: Verdict, now: Instant) {
    match terms {
        Terms::Ordinary => health.note(verdict, now),
        Terms::OnTrial(_) | Terms::LastResort { .. } => health.conclude(verdict, now),
    };
}

/// A moment that is whole seconds after the one from which health counts, and ahead of it: rounding is then the same in
/// every replay.
fn midnight() -> Instant {
    let (probe, soon) =
        (UpstreamHealth::new(CircuitOptions::default(), 1), Instant::now() + Duration::from_secs(1));
    probe.note(Verdict::Failed, soon);
    soon + Duration::from_millis(1_000 - probe.last_failure_ms() % 1_000)
}
