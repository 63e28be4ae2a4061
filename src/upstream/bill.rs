//! What one call cost: of the answer the client got, and of the attempts it never saw. Settled once, when the answer is
//! known as far as it will ever be.

use std::sync::Arc;
use std::time::Instant;

use crate::api::money::Money;
use crate::api::usage::Usage;
use crate::price;
use crate::route::ask::Ask;
use crate::route::plan::Plan;
use crate::route::table::Route;
use crate::route::target::Target;
use crate::telemetry::EndpointKind;
use crate::telemetry::costs::Compared;
use crate::upstream::past::Past;
use crate::upstream::reading::Reading;

/// What the costs of a call depend on.
pub struct Bill {
    route: Arc<Route>,
    ask: Ask,
    kind: EndpointKind,
    /// The history of its session, of which each target gets as much as it holds.
    past: Option<Arc<Past>>,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub usage: Usage,
    /// `None`: the price is not known.
    pub cost: Option<Money>,
}

impl Settled {
    /// Two answers that made one; their cost is known where both costs are.
    pub fn plus(self, other: Self) -> Self {
        let cost = self.cost.zip(other.cost).map(|(own, other)| own.plus(other));
        Self { usage: self.usage.plus(other.usage), cost }
    }
}

/// Anthropic counts the prompt where a stream begins and the answer where it ends: of one that was left before, what was
/// heard since is counted here.
fn so_far(told: Usage, reading: &Reading) -> Usage {
    match reading.uncounted_tokens() {
        0 => told,
        heard => Usage { output: told.output + heard, estimated: true, ..told },
    }
}

impl Bill {
    pub fn new(plan: &Plan, kind: EndpointKind, past: Option<Arc<Past>>) -> Self {
        Self { route: Arc::clone(&plan.route), ask: plan.ask.clone(), kind, past }
    }

    /// Estimated tokens of what `target` is sent, before they are corrected.
    fn prompt_tokens(&self, target: &Target, model: &str) -> u64 {
        let own = self.ask.prompt_tokens - self.ask.history_tokens;
        own + self.past.as_ref().map_or(0, |it| it.fitted(target, model).tokens)
    }

    /// The usage and cost of an answer. Where the vendor counted nothing, ours is an estimate.
    pub fn settle(&self, reading: &Reading) -> Option<Settled> {
        let counted = reading.usage.filter(Usage::says_something).map(|it| so_far(it, reading));
        let usage = counted.or_else(|| self.estimate(reading)).or(reading.usage)?;
        Some(Settled { usage, cost: self.cost(&reading.target, &reading.model, &usage, reading) })
    }

    /// The tier that the vendor says it served in decides, else the one that was asked for.
    fn cost(&self, target: &Target, model: &str, usage: &Usage, reading: &Reading) -> Option<Money> {
        let price = target.price(model);
        let tier = reading.service_tier.unwrap_or(self.ask.tier);
        price::cost(price.as_deref().map(|it| &**it), usage, self.ask.at, tier)
    }

    /// Only of answers that said something: what never began is not billed. Embeddings say nothing in tokens.
    fn estimate(&self, reading: &Reading) -> Option<Usage> {
        let output = reading.content_tokens();
        let sent = self.prompt_tokens(&reading.target, &reading.model);
        let input = reading.target.experience.calibration.correct(sent);
        let is_answer = output > 0 || self.kind == EndpointKind::Embeddings;
        (is_answer && input > 0).then(|| Usage { input, output, estimated: true, ..Usage::default() })
    }

    /// What an attempt that the vendor may charge for is estimated to have cost: its prompt, for nothing of its answer
    /// was kept.
    pub fn wasted(&self, target: &Target, model: &str) -> Option<Money> {
        let input = target.experience.calibration.correct(self.prompt_tokens(target, model));
        let usage = Usage { input, estimated: true, ..Usage::default() };
        let cost = target.price(model)?.cost(&usage, self.ask.at, self.ask.tier);
        cost.filter(|it| *it > Money::ZERO)
    }

    /// Tells what routing learns from: how long answers are, who holds the conversation's prefix now, what others
    /// would have charged.
    pub fn learn(&self, reading: &Reading, settled: &Settled, complete: bool) {
        let usage = &settled.usage;
        if complete && !usage.estimated {
            self.route.output.note(self.ask.output_kind(), usage.output);
            if self.route.reckons() {
                let sent = self.prompt_tokens(&reading.target, &reading.model);
                reading.target.experience.calibration.learn(sent, usage.input);
            }
        }
        if let Some(conversation) = self.ask.conversation {
            let tokens = usage.input.saturating_add(usage.output);
            self.route.warmth.note(conversation, reading.warm(tokens), Instant::now());
        }
        if let Some(compared) = self.compare(reading, settled) {
            reading.target.metrics.costs.compared(compared);
        }
    }

    /// The same answer at the route's other targets, where all prices are known.
    fn compare(&self, reading: &Reading, settled: &Settled) -> Option<Compared> {
        if self.route.targets.len() < 2 || settled.usage.stated_cost.is_some() {
            return None;
        }
        let at = |it: &Arc<Target>| self.cost(it, it.model_for(&self.ask.model), &settled.usage, reading);
        let (served, default) = (settled.cost?, at(self.route.targets.first()?)?);
        let dearest = self.route.targets[1..].iter().try_fold(default, |most, it| Some(most.max(at(it)?)))?;
        Some(Compared { served, dearest, default })
    }
}
