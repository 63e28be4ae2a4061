//! How much a model is to think: `thinking` and `output_config.effort`.
//!
//! The newest models are told an effort and think adaptively; older ones get a budget of tokens. The API refuses
//! thinking where a tool is forced, and with a budget also where the assistant's turn that goes on does not begin with
//! sealed thinking of its own: a turn that another vendor began has none.

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::dialect::claude;
use crate::dialect::functions::forces_call;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::{Prompt, Reasoning};
use crate::dialect::terms::{Terms, Thinking};

/// What a request says of thinking, and the bound of its answer, which thinking counts towards.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub way: Way,
    /// Anthropic's word for it.
    pub effort: Option<&'static str>,
    pub output_max: u64,
    /// Whether readable thinking is wanted: `thinking.display`.
    display: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    Unsaid,
    Disabled,
    Adaptive,
    Budget(u64),
}

impl Plan {
    pub fn of(prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Self {
        let output_max = claude::output_max(prompt, terms);
        let mut plan = Self { way: Way::Unsaid, effort: None, output_max, display: None };
        let Some(reasoning) = &prompt.reasoning else { return plan };
        plan.display = claude::display(reasoning);
        let is_off = reasoning.on == Some(false);
        if matches!(terms.thinking, Thinking::Usual | Thinking::Effort) {
            plan.effort = claude::effort(reasoning, terms);
        } else if is_off {
            losses.add_if(reasoning.effort.is_some(), "reasoning_effort");
        }
        match terms.thinking {
            Thinking::Never => losses.add_if(is_wanted(reasoning), "reasoning_effort"),
            _ if is_off => plan.way = Way::Disabled,
            _ if !is_wanted(reasoning) => {}
            Thinking::Usual | Thinking::Effort if forces_call(prompt) => {
                losses.add_if(plan.effort.is_none(), "reasoning");
            }
            Thinking::Usual | Thinking::Effort => plan.way = Way::Adaptive,
            Thinking::Budget => match claude::budget(prompt, reasoning, terms) {
                Some((tokens, output_max)) => {
                    (plan.way, plan.output_max) = (Way::Budget(tokens), output_max);
                }
                None => losses.add("reasoning_effort"),
            },
        }
        plan
    }

    /// Whether the model may think: then the API refuses most of the sampling.
    pub fn thinks(&self) -> bool {
        matches!(self.way, Way::Adaptive | Way::Budget(_))
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let kind = match self.way {
            Way::Unsaid => return,
            Way::Disabled => "disabled",
            Way::Adaptive => "adaptive",
            Way::Budget(_) => "enabled",
        };
        out.key("thinking").of_type(kind);
        if let Way::Budget(tokens) = self.way {
            out.number_field("budget_tokens", tokens);
        }
        if let Some(display) = self.display.filter(|_| self.thinks()) {
            out.text_field("display", display);
        }
        out.close(b'}');
    }
}

/// Whether thinking is asked for, however much.
fn is_wanted(reasoning: &Reasoning) -> bool {
    let amount = reasoning.effort.is_some() || reasoning.budget.is_some();
    reasoning.on.unwrap_or(amount)
}

/// Reads a client's `thinking`.
pub(super) fn read(json: &str, reasoning: &mut Reasoning) -> Option<()> {
    let fields = Fields::read(json)?;
    match fields.text("type")?.as_ref() {
        "enabled" => {
            reasoning.on = Some(true);
            reasoning.budget = Some(fields.value("budget_tokens")?.parse().ok()?);
        }
        "adaptive" => reasoning.on = Some(true),
        "disabled" => reasoning.on = Some(false),
        _ => return None,
    }
    reasoning.summary = fields.text("display").map(|it| if it == "omitted" { "none" } else { "auto" }.into());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::prompt::Effort;

    fn plan(reasoning: Reasoning, thinking: Thinking, output_max: u64, output_most: u64) -> (Plan, Losses) {
        let prompt = Prompt { reasoning: Some(reasoning), output_max: Some(output_max), ..Prompt::default() };
        let terms = Terms { thinking, output_max: Some(output_most), ..Terms::default() };
        let mut losses = Losses::default();
        (Plan::of(&prompt, &terms, &mut losses), losses)
    }

    #[test]
    fn a_budget_is_within_the_bound_of_the_answer() {
        let check = |effort, budget, output_max, output_most, expected: (u64, u64)| {
            let reasoning = Reasoning { effort, budget, ..Reasoning::default() };
            let (plan, losses) = plan(reasoning, Thinking::Budget, output_max, output_most);
            assert_eq!((plan.way, plan.output_max), (Way::Budget(expected.0), expected.1));
            assert!(losses.is_empty() && plan.thinks() && plan.effort.is_none());
        };
        check(None, Some(2_000), 8_000, 64_000, (2_000, 8_000));
        check(None, Some(31_999), 32_000, 64_000, (31_999, 32_000));
        check(None, Some(10), 8_000, 64_000, (1_024, 8_000));
        check(None, Some(8_000), 8_000, 64_000, (8_000, 16_000));
        check(None, Some(90_000), 8_000, 64_000, (63_999, 64_000));
        check(None, Some(u64::MAX), u64::MAX, u64::MAX, (u64::MAX - 1, u64::MAX));
        check(Some(Effort::Max), None, 200_000, 200_000, (65_536, 200_000));
        check(Some(Effort::High), None, 1_000, 64_000, (1_024, 2_024));
        check(Some(Effort::Low), None, 0, 0, (1_024, 1_025));
    }

    #[test]
    fn thinking_is_told_as_the_model_wants_it() {
        let check = |reasoning: Reasoning, thinking, way, effort: Option<&str>, lost: bool| {
            let shown = format!("{reasoning:?} {thinking:?}");
            let (plan, losses) = plan(reasoning, thinking, 8_000, 64_000);
            assert_eq!((plan.way, plan.effort, !losses.is_empty()), (way, effort, lost), "{shown}");
        };
        let on = |on| Reasoning { on: Some(on), ..Reasoning::default() };
        let budget = |budget| Reasoning { budget: Some(budget), ..Reasoning::default() };
        let shown = || Reasoning { summary: Some("auto".into()), ..Reasoning::default() };
        check(on(true), Thinking::Usual, Way::Adaptive, None, false);
        check(on(false), Thinking::Usual, Way::Disabled, None, false);
        check(budget(1_024), Thinking::Effort, Way::Adaptive, Some("low"), false);
        check(budget(5_000), Thinking::Effort, Way::Adaptive, Some("medium"), false);
        check(budget(90_000), Thinking::Effort, Way::Adaptive, Some("high"), false);
        check(on(true), Thinking::Budget, Way::Budget(6_400), None, false);
        check(on(false), Thinking::Budget, Way::Disabled, None, false);
        for thinking in [Thinking::Usual, Thinking::Budget, Thinking::Never] {
            check(shown(), thinking, Way::Unsaid, None, false);
        }
        let off = || Reasoning { effort: Some(Effort::Minimal), budget: Some(9_000), ..on(false) };
        check(off(), Thinking::Usual, Way::Disabled, Some("low"), false);
        check(off(), Thinking::Budget, Way::Disabled, None, true);
        check(off(), Thinking::Never, Way::Unsaid, None, true);
        check(Reasoning { effort: None, ..off() }, Thinking::Usual, Way::Disabled, None, false);
        check(on(true), Thinking::Never, Way::Unsaid, None, true);
        check(on(false), Thinking::Never, Way::Unsaid, None, false);
    }
}
