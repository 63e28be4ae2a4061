//! What Anthropic's models want of thinking wherever they are served: at Anthropic's own API and on Bedrock.

use super::Dialect;
use super::functions::forces_call;
use super::prompt::{Effort, Part, Prompt, Reasoning, Role};
use super::terms::{OUTPUT_MAX_USUAL, Terms};

/// The smallest budget that is taken, in tokens.
pub const BUDGET_MIN: u64 = 1_024;

/// How much of an answer a budget that was made of an effort may take, in fifths: the rest stays for what is said.
const FIFTHS_MAX: u64 = 4;

/// Most tokens of an answer, thoughts among them, where one must be stated.
pub fn output_max(prompt: &Prompt, terms: &Terms) -> u64 {
    prompt.output_max.or(terms.output_max).unwrap_or(OUTPUT_MAX_USUAL)
}

/// The budget of thought that a wish comes to, and most tokens of the answer, which it is a part of; both in tokens.
/// None where a model that thinks by a budget cannot be asked to think this time. A client's own budget stays what it is
/// as far as the model's longest answer holds it.
pub fn budget(prompt: &Prompt, reasoning: &Reasoning, terms: &Terms) -> Option<(u64, u64)> {
    if forces_call(prompt) || goes_on_unsealed(prompt) {
        return None;
    }
    let mut most = output_max(prompt, terms);
    let by_effort = || reasoning.effort.unwrap_or(Effort::Medium).budget().min(most / 5 * FIFTHS_MAX);
    let budget = reasoning.budget.unwrap_or_else(by_effort).max(BUDGET_MIN);
    if budget >= most {
        let raised = most.saturating_add(budget);
        most = raised.min(terms.output_max.unwrap_or(u64::MAX)).max(BUDGET_MIN + 1);
    }
    Some((budget.min(most - 1), most))
}

/// Anthropic's word for the effort that is wished, which is heeded without thinking too; it has none for `minimal`.
pub fn effort(reasoning: &Reasoning, terms: &Terms) -> Option<&'static str> {
    let of_budget = reasoning.budget.filter(|_| reasoning.on != Some(false)).map(Effort::of_budget);
    let effort = reasoning.effort.or(of_budget)?;
    Some(terms.efforts.of(effort).max(Effort::Low).as_str())
}

/// Whether readable thinking is wanted: `thinking.display`.
pub fn display(reasoning: &Reasoning) -> Option<&'static str> {
    reasoning.summary.as_deref().map(|it| if it == "none" { "omitted" } else { "summarized" })
}

/// Whether the assistant goes on with a turn (behind results of tools, or words of its own) that does not begin with
/// thinking that Anthropic sealed: then a model that thinks by a budget cannot be asked to. A turn holds all that is
/// done between two messages of the user, calls and their results; what the model does behind its first thinking need
/// not begin with more.
pub fn goes_on_unsealed(prompt: &Prompt) -> bool {
    let spoken = prompt.messages.iter().filter(|it| matches!(it.role, Role::User | Role::Assistant));
    let parts = spoken.flat_map(|it| it.parts.iter().map(|part| (it.role, part)));
    let mut turn = parts.rev().filter(|(_, part)| is_said(part)).peekable();
    let goes_on = turn.peek().is_some_and(|it| is_of_turn(*it));
    let first = turn.take_while(|it| is_of_turn(*it)).filter(|(role, _)| *role == Role::Assistant).last();
    goes_on && !matches!(first, Some((_, Part::Thought(_))))
}

/// Whether a part is of a turn that the assistant began.
fn is_of_turn((role, part): (Role, &Part)) -> bool {
    role == Role::Assistant || matches!(part, Part::Result(_))
}

/// Whether it gets to the model: thoughts of others do not.
fn is_said(part: &Part) -> bool {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => !text.trim().is_empty(),
        Part::Thought(it) => it.seal.as_ref().is_some_and(|it| it.dialect == Dialect::Anthropic),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::prompt::{Call, Message, Seal, Thought, ToolResult};

    fn thought(dialect: Dialect) -> Part {
        let seal = Some(Seal { dialect, data: "s".into(), is_whole: false });
        Part::Thought(Thought { seal, ..Thought::default() })
    }

    fn call() -> Part {
        Part::Call(Call { id: "c".into(), name: "f".into(), arguments: "{}".into(), is_custom: false })
    }

    fn result() -> Part {
        let (call_id, parts) = ("c".to_owned(), Vec::new());
        Part::Result(ToolResult { call_id, name: None, parts, is_error: false, cache: None })
    }

    #[test]
    fn a_turn_that_goes_on_must_have_begun_sealed() {
        let check = |messages: Vec<(Role, Vec<Part>)>, unsealed: bool| {
            let messages = messages.into_iter().map(|(role, parts)| Message { role, parts, name: None });
            let prompt = Prompt { messages: messages.collect(), ..Prompt::default() };
            assert_eq!(goes_on_unsealed(&prompt), unsealed, "{:?}", prompt.messages);
        };
        let (user, assistant) = (Role::User, Role::Assistant);
        let asked = || (user, vec![Part::text("q")]);
        let sealed = || (assistant, vec![thought(Dialect::Anthropic), call()]);
        let bare = || (assistant, vec![call()]);
        let gave = || (user, vec![result()]);
        check(vec![], false);
        check(vec![asked()], false);
        check(vec![asked(), bare(), gave()], true);
        check(vec![asked(), sealed(), gave()], false);
        // Without interleaved thinking only the first step of a turn thinks.
        check(vec![asked(), sealed(), gave(), bare(), gave()], false);
        check(vec![asked(), bare(), gave(), sealed(), gave()], true);
        check(vec![asked(), bare(), gave(), (Role::System, vec![Part::text("s")])], true);
        // Another question begins another turn.
        check(vec![asked(), bare(), gave(), asked()], false);
        check(vec![asked(), sealed(), gave(), asked(), bare(), gave()], true);
        check(vec![asked(), (assistant, vec![thought(Dialect::Gemini), call()]), gave()], true);
        let mixed = vec![Part::text(" "), thought(Dialect::Gemini), thought(Dialect::Anthropic), call()];
        check(vec![asked(), (assistant, mixed), gave()], false);
        check(vec![asked(), (assistant, vec![Part::text("Well")])], true);
    }
}
