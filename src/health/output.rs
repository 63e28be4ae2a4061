//! How long answers usually are: running means without a lock, by what a call looks like. One mean for all would take a
//! tool call's few tokens and a chat's many for the same.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Tokens of an answer before any is known.
const FIRST_GUESS: u64 = 400;

/// A new answer moves its mean by at least this part of the difference: lengths scatter widely, so it takes many to tell.
const MEMORY: u64 = 128;

/// Answers after which a kind of call speaks for itself.
const KNOWN_FROM: u64 = 8;

/// No answer counts for more tokens: a vendor's absurd count must not make every call look dear.
const ANSWER_TOKENS_MAX: u64 = 262_144;

/// Parts of a token that a mean is kept in.
const FINE: u64 = 64;

/// Kinds of calls that are told apart.
const KINDS: usize = 2 * BOUNDS.len() * PROMPTS.len();

/// Greatest bounds on the answer of a kind, in tokens.
const BOUNDS: [u64; 4] = [256, 1_024, 4_096, u64::MAX];

/// Greatest prompts of a kind, in tokens.
const PROMPTS: [u64; 3] = [1_000, 8_000, u64::MAX];

/// Calls whose answers should be about as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputKind(usize);

impl OutputKind {
    /// By the tokens of the prompt, the client's own bound on the answer, and whether tools may be called.
    pub fn of(prompt_tokens: u64, max: Option<u64>, tools: bool) -> Self {
        let place = |steps: &[u64], value: u64| steps.partition_point(|it| *it < value);
        let (bound, prompt) = (place(&BOUNDS, max.unwrap_or(u64::MAX)), place(&PROMPTS, prompt_tokens));
        Self((bound * PROMPTS.len() + prompt) * 2 + usize::from(tools))
    }
}

/// The means of the output tokens of recent answers.
#[derive(Debug, Default)]
pub struct OutputMean {
    all: Mean,
    kinds: [Mean; KINDS],
}

impl OutputMean {
    /// An answer had so many tokens.
    pub fn note(&self, kind: OutputKind, tokens: u64) {
        self.all.note(tokens);
        self.kinds[kind.0].note(tokens);
    }

    /// Tokens to expect of an answer that may have at most `max`.
    pub fn expected(&self, kind: OutputKind, max: Option<u64>) -> u64 {
        let known = self.kinds[kind.0].value(KNOWN_FROM).or_else(|| self.all.value(1));
        let mean = known.unwrap_or(FIRST_GUESS);
        max.map_or(mean, |it| mean.min(it))
    }
}

/// Answers counted so far, up to [`MEMORY`], in the upper half; their mean in the lower. Of two that end at once, one may
/// be lost.
#[derive(Debug, Default)]
struct Mean(AtomicU64);

const HALF: u64 = u32::MAX as u64;

impl Mean {
    fn note(&self, tokens: u64) {
        let packed = self.0.load(Relaxed);
        let (count, mean) = ((packed >> 32) + 1, packed & HALF);
        let sample = tokens.min(ANSWER_TOKENS_MAX) * FINE;
        let moved = sample.abs_diff(mean) / count;
        let mean = if sample > mean { mean + moved } else { mean - moved };
        self.0.store((count.min(MEMORY - 1) << 32) | mean, Relaxed);
    }

    /// `None` before so many answers.
    fn value(&self, from: u64) -> Option<u64> {
        let packed = self.0.load(Relaxed);
        (packed >> 32 >= from).then_some((packed & HALF) / FINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: (u64, Option<u64>, bool) = (500, None, false);

    fn kind((prompt, max, tools): (u64, Option<u64>, bool)) -> OutputKind {
        OutputKind::of(prompt, max, tools)
    }

    #[test]
    fn the_mean_follows_the_answers_and_bows_to_the_clients_bound() {
        let (mean, chat) = (OutputMean::default(), kind(CHAT));
        assert_eq!((mean.expected(chat, None), mean.expected(chat, Some(50))), (400, 50));
        mean.note(chat, 1_000);
        assert_eq!(mean.expected(chat, None), 1_000);
        for _ in 0..1_000 {
            mean.note(chat, 200);
        }
        assert!((200..210).contains(&mean.expected(chat, None)), "{mean:?}");
        mean.note(chat, u64::MAX);
        assert!((2_000..3_000).contains(&mean.expected(chat, None)), "{mean:?}");
        // Embeddings write nothing, and that is known from the first one on.
        let embeddings = OutputMean::default();
        embeddings.note(chat, 0);
        assert_eq!(embeddings.expected(chat, None), 0);
    }

    #[test]
    fn kinds_of_calls_have_means_of_their_own_once_they_are_known() {
        let mean = OutputMean::default();
        let others = [
            ("tools", (500, None, true)),
            ("a bound", (500, Some(256), false)),
            ("a longer prompt", (1_001, None, false)),
        ];
        for _ in 0..100 {
            mean.note(kind(CHAT), 300);
        }
        for (what, other) in others {
            assert_ne!(kind(other), kind(CHAT), "{what}");
            assert_eq!(mean.expected(kind(other), None), 300, "{what}: it goes by all others");
        }
        let tools = kind((500, None, true));
        for _ in 0..8 {
            mean.note(tools, 40);
        }
        assert_eq!((mean.expected(tools, None), mean.expected(kind(CHAT), None)), (40, 300));
    }

    #[test]
    fn every_call_is_of_one_of_the_kinds() {
        let mean = OutputMean::default();
        for prompt in [0, 1_000, 1_001, 8_001, u64::MAX] {
            for max in [None, Some(0), Some(257), Some(1_025), Some(4_097), Some(u64::MAX)] {
                for tools in [false, true] {
                    mean.note(kind((prompt, max, tools)), 9);
                }
            }
        }
        assert_eq!(mean.expected(kind(CHAT), None), 9);
    }
}
