//! How a model on Bedrock is told to think. Converse has a field for the effort alone; the rest goes into
//! `additionalModelRequestFields` in the maker's words (Anthropic's `thinking`, Nova's `reasoningConfig`, OpenAI's
//! `reasoning_effort`).

use super::maker::Maker;
use crate::api::ink::{Ink, OBJECT};
use crate::dialect::claude;
use crate::dialect::functions::forces_call;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::{Effort, Prompt, Reasoning};
use crate::dialect::terms::{Terms, Thinking};

/// What is written, and what follows from it for the rest of the request.
pub struct Plan {
    pub told: Told,
    /// Most tokens of the answer; None: as the client has it.
    output_max: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Disabled {
        effort: Option<&'static str>,
    },
    /// The model decides how much. `thinks`: it may think at all.
    Adaptive {
        effort: Option<&'static str>,
        display: Option<&'static str>,
        thinks: bool,
    },
    /// Up to so many tokens.
    Budget(u64, Option<&'static str>),
    Nova(Option<&'static str>),
    OpenAi(&'static str),
}

impl Plan {
    pub fn of(prompt: &Prompt, terms: &Terms, maker: Maker, losses: &mut Losses) -> Self {
        let mut plan = Self { told: Told::Nothing, output_max: None };
        let said = prompt.reasoning.as_ref();
        let Some((reasoning, wish)) = said.and_then(|it| Some((it, Wish::of(it)?))) else { return plan };
        let told = match (terms.thinking, maker) {
            (Thinking::Never, _) => None,
            (_, Maker::Nova) => Some(nova(wish)),
            (_, Maker::OpenAi) => openai(wish),
            (Thinking::Budget, _) => plan.budget(prompt, reasoning, terms),
            (Thinking::Effort, _) | (Thinking::Usual, Maker::Anthropic) => {
                Some(adaptive(prompt, reasoning, terms, losses))
            }
            (Thinking::Usual, Maker::Other | Maker::Unknown) => None,
        };
        // A model that does not think does what it is told by "do not".
        let does_not_anyway = wish == Wish::Off && maker != Maker::OpenAi && reasoning.effort.is_none();
        losses.add_if(told.is_none() && !does_not_anyway, "reasoning_effort");
        plan.told = told.unwrap_or(Told::Nothing);
        plan
    }

    /// None where the model cannot be told.
    fn budget(&mut self, prompt: &Prompt, reasoning: &Reasoning, terms: &Terms) -> Option<Told> {
        if reasoning.on == Some(false) {
            return None;
        }
        let (tokens, output_max) = claude::budget(prompt, reasoning, terms)?;
        self.output_max = Some(output_max);
        Some(Told::Budget(tokens, claude::display(reasoning)))
    }

    /// Most tokens of the answer. Nova refuses a bound at its highest effort.
    pub fn output_max(&self, prompt: &Prompt, losses: &mut Losses) -> Option<u64> {
        let free = self.told == Told::Nova(Some("high"));
        losses.add_if(free && prompt.output_max.is_some(), "max_completion_tokens");
        self.output_max.or(prompt.output_max).filter(|_| !free)
    }

    pub fn fixes_sampling(&self) -> bool {
        match self.told {
            Told::Adaptive { thinks, .. } => thinks,
            Told::Budget(..) => true,
            Told::Nova(effort) => effort == Some("high"),
            Told::Nothing | Told::Disabled { .. } | Told::OpenAi(_) => false,
        }
    }

    /// The maker's own fields.
    pub fn write(&self, maker: Maker, body: &mut Vec<u8>) {
        match self.told {
            Told::Nothing | Told::Adaptive { thinks: false, .. } => (),
            Told::Disabled { .. } => _ = body.raw_field("thinking", r#"{"type":"disabled"}"#),
            Told::Adaptive { display, .. } => body.filled("thinking", OBJECT, |body| {
                body.text_field("type", "adaptive");
                display.into_iter().for_each(|it| _ = body.text_field("display", it));
            }),
            Told::Budget(tokens, display) => body.filled("thinking", OBJECT, |body| {
                body.text_field("type", "enabled");
                body.number_field("budget_tokens", tokens);
                body.text_if("display", display);
            }),
            Told::Nova(effort) => body.filled("reasoningConfig", OBJECT, |body| {
                debug_assert_eq!(maker, Maker::Nova);
                body.text_field("type", if effort.is_some() { "enabled" } else { "disabled" });
                effort.into_iter().for_each(|it| _ = body.text_field("maxReasoningEffort", it));
            }),
            Told::OpenAi(effort) => _ = body.text_field("reasoning_effort", effort),
        }
    }
}

/// What the client wants, if it wants anything.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    Off,
    On { effort: Option<Effort>, budget: Option<u64> },
}

impl Wish {
    fn of(reasoning: &Reasoning) -> Option<Self> {
        let says = reasoning.on.is_some() || reasoning.effort.is_some() || reasoning.budget.is_some();
        match reasoning.on {
            Some(false) => Some(Self::Off),
            _ if says => Some(Self::On { effort: reasoning.effort, budget: reasoning.budget }),
            _ => None,
        }
    }
}

fn adaptive(prompt: &Prompt, reasoning: &Reasoning, terms: &Terms, losses: &mut Losses) -> Told {
    let effort = claude::effort(reasoning, terms);
    if reasoning.on == Some(false) {
        return Told::Disabled { effort };
    }
    // A forced tool leaves no room to think; the effort may still be told.
    let thinks = !forces_call(prompt);
    losses.add_if(!thinks && effort.is_none(), "reasoning");
    Told::Adaptive { effort, display: claude::display(reasoning), thinks }
}

fn nova(wish: Wish) -> Told {
    let Wish::On { effort, budget } = wish else { return Told::Nova(None) };
    Told::Nova(Some(match effort.or(budget.map(Effort::of_budget)).unwrap_or(Effort::Medium) {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Xhigh | Effort::Max => "high",
    }))
}

fn openai(wish: Wish) -> Option<Told> {
    let Wish::On { effort, budget } = wish else { return None };
    let effort = effort.or(budget.map(Effort::of_budget)).unwrap_or(Effort::Medium);
    Some(Told::OpenAi(match effort {
        Effort::Minimal => "low",
        Effort::Xhigh | Effort::Max => "high",
        other => other.as_str(),
    }))
}
