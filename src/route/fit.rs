//! Whether a target can serve one call at all: window, abilities, tags, bounds on price and wait. Pure.

use std::fmt;
use std::time::Duration;

use crate::api::money::Money;
use crate::route::ask::Ask;
use crate::route::reckon::Figures;
use crate::route::table::Route;
use crate::route::target::Target;

/// Why a target cannot serve a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Misfit {
    /// Prompt and answer together are estimated to exceed its window, in tokens.
    Context {
        needs: u64,
        holds: u64,
    },
    Cannot(&'static str),
    LacksTag(String),
    TooDear {
        cost: Money,
        max: Money,
    },
    TooSlow {
        first_token: Duration,
        max: Duration,
    },
}

impl Misfit {
    /// The word that labels it in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Misfit::Context { .. } => "context",
            Misfit::Cannot(_) => "ability",
            Misfit::LacksTag(_) => "tag",
            Misfit::TooDear { .. } => "price",
            Misfit::TooSlow { .. } => "latency",
        }
    }
}

impl Misfit {
    /// Where it stands among those that are tried all the same when no target fits, the likeliest first: an estimate is
    /// no ground to refuse a call. `None`: it is none of these. The quickest come first, then the roomiest.
    pub fn doubt(&self) -> Option<(bool, u64)> {
        match self {
            Misfit::TooSlow { first_token, .. } => Some((false, first_token.as_micros() as u64)),
            Misfit::Context { holds, .. } => Some((true, u64::MAX - holds)),
            Misfit::Cannot(_) | Misfit::LacksTag(_) | Misfit::TooDear { .. } => None,
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Context { needs, holds } => {
                write!(f, "its window of {holds} tokens does not hold the {needs} that are estimated")
            }
            Misfit::Cannot(what) => write!(f, "the model takes no {what}"),
            Misfit::LacksTag(tag) => write!(f, "it lacks the tag `{tag}`"),
            Misfit::TooDear { cost, max } => {
                write!(f, "the call is expected to cost {cost} USD, more than `max_price` {max}")
            }
            Misfit::TooSlow { first_token, max } => write!(
                f,
                "its first token takes {} ms, more than `max_first_token_ms` {}",
                first_token.as_millis(),
                max.as_millis()
            ),
        }
    }
}

/// Why `target` cannot serve `ask`, if so. What is not known of a target excludes nothing.
pub fn misfit(route: &Route, target: &Target, ask: &Ask, figures: &Figures) -> Option<Misfit> {
    lacking_tag(route, target, ask)
        .or_else(|| too_dear(route, figures))
        .or_else(|| incapable(route, target, ask, figures))
        .or_else(|| too_slow(route, figures))
}

fn lacking_tag(route: &Route, target: &Target, ask: &Ask) -> Option<Misfit> {
    let mut wanted = route.bounds.tags.iter().chain(&ask.tags);
    wanted.find(|tag| !target.tags.contains(tag)).map(|tag| Misfit::LacksTag(tag.clone()))
}

fn too_dear(route: &Route, figures: &Figures) -> Option<Misfit> {
    let (max, cost) = (route.bounds.price?, figures.cost?);
    (cost > max).then_some(Misfit::TooDear { cost, max })
}

fn too_slow(route: &Route, figures: &Figures) -> Option<Misfit> {
    let (max, first_token) = (route.bounds.first_token?, figures.pace?.first_token);
    (first_token > max).then_some(Misfit::TooSlow { first_token, max })
}

/// A sole target is not judged by what a catalogue says of it: its vendor knows better.
fn incapable(route: &Route, target: &Target, ask: &Ask, figures: &Figures) -> Option<Misfit> {
    if matches!(&route.targets[..], [sole] if std::ptr::eq(&**sole, target)) {
        return None;
    }
    let facts = target.facts(target.model_for(&ask.model));
    let wants = [
        (ask.wants.vision, facts.vision, "images"),
        (ask.wants.tools, facts.tools, "tools"),
        (ask.wants.json_schema, facts.json_schema, "JSON schema"),
        (ask.wants.reasoning, facts.reasoning, "reasoning effort"),
    ];
    if let Some((_, _, what)) = wants.iter().find(|(wanted, able, _)| *wanted && *able == Some(false)) {
        return Some(Misfit::Cannot(what));
    }
    let needs = figures.prompt_tokens.saturating_add(figures.output_tokens);
    let holds = facts.context.filter(|it| *it < needs)?;
    Some(Misfit::Context { needs, holds })
}
