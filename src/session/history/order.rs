//! Puts the turns of calls that were under way at once into an order that vendors take. Stored is the order in which
//! turns ended, so another call's turn may stand between the call of a tool and its result; here it goes before both.

/// Turns that are looked back for the one that called a tool.
const LOOK_BACK_TURNS_MAX: usize = 64;

/// What of a turn decides its place.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The calls its last message makes.
    pub(super) calls: Vec<String>,
    /// The call whose result its first message brings.
    pub(super) answers: Option<String>,
    pub(super) is_complete: bool,
}

/// The turns in the order they are told in, before new messages that bring the result of `answered`.
///
/// A result that is brought anew takes the place of an answer to it that was cut off, or that nothing follows: its client
/// tries again.
pub(super) fn order(turns: &[Links], answered: Option<&String>) -> Vec<usize> {
    let mut order = Vec::with_capacity(turns.len());
    for (number, turn) in turns.iter().enumerate() {
        if let Some(call) = &turn.answers {
            bring_near(&mut order, turns, call);
        }
        order.push(number);
    }
    if let Some(call) = answered {
        bring_near(&mut order, turns, call);
    }
    order
}

/// Moves the turn that made `call` to the end, and those it cannot be without.
fn bring_near(order: &mut Vec<usize>, turns: &[Links], call: &String) {
    let oldest = order.len().saturating_sub(LOOK_BACK_TURNS_MAX);
    let caller = order[oldest..].iter().rposition(|it| turns[*it].calls.contains(call));
    let Some(caller) = caller.map(|it| oldest + it).filter(|it| it + 1 < order.len()) else { return };
    let calls = &turns[order[caller]].calls;
    let answers_it = |it: &usize| turns[*it].answers.as_ref().is_some_and(|it| calls.contains(it));
    let is_given_up = |at: usize, it: &usize| !turns[*it].is_complete || at + 1 == order.len();
    let behind = || (caller + 1..).zip(&order[caller + 1..]);
    if behind().any(|(at, it)| answers_it(it) && !is_given_up(at, it)) {
        return;
    }
    let kept: Vec<usize> = behind().map(|(_, it)| *it).filter(|it| !answers_it(it)).collect();
    order.truncate(caller + 1);
    let group = order.iter().rposition(|it| turns[*it].answers.is_none()).unwrap_or_default();
    order.splice(group..group, kept);
}
