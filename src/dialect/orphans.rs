//! Results of calls that only the dialect they came in has words for, such as OpenAI's `computer_call`: where the call
//! cannot be told, its result goes with it, for vendors refuse one without a call.

use std::collections::HashSet;

use super::loss::kind_of;
use super::prompt::{Part, Prompt};
use crate::api::fields::Fields;

/// Leaves out what answers such calls. The calls themselves stay, to be told or named by who writes the prompt.
pub fn leave_out(prompt: &mut Prompt) {
    let parts = || prompt.messages.iter().flat_map(|it| &it.parts);
    let mut ids: HashSet<String> = parts().filter_map(id_of_call).collect();
    if ids.is_empty() {
        return;
    }
    for part in parts() {
        if let Part::Call(call) = part {
            ids.remove(&call.id);
        }
    }
    prompt.messages.retain_mut(|message| {
        let before = message.parts.len();
        message.parts.retain(|it| !answers(it, &ids));
        before == 0 || !message.parts.is_empty()
    });
}

fn id_of_call(part: &Part) -> Option<String> {
    let Part::Other(json) = part else { return None };
    let id = Fields::read(json.get())?.text("call_id")?.into_owned();
    kind_of(json).ends_with("_call").then_some(id)
}

fn answers(part: &Part, ids: &HashSet<String>) -> bool {
    match part {
        Part::Result(result) => ids.contains(&result.call_id),
        Part::Other(json) if kind_of(json).ends_with("_output") => Fields::read(json.get())
            .and_then(|it| it.text("call_id").map(|it| ids.contains(it.as_ref())))
            .unwrap_or_default(),
        _ => false,
    }
}
