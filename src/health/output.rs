//! How long answers usually are: a running mean without a lock.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Tokens of an answer before any is known.
const FIRST_GUESS: u64 = 400;

/// A new answer moves the mean by this part of the difference.
const WEIGHT: i64 = 32;

/// Parts of a token that the mean is kept in.
const FINE: i64 = 64;

/// The mean of the output tokens of recent answers.
#[derive(Debug, Default)]
pub struct OutputMean(AtomicU32);

impl OutputMean {
    /// An answer had so many tokens.
    pub fn note(&self, tokens: u64) {
        let sample = i64::try_from(tokens).unwrap_or(i64::MAX).min(i64::from(u32::MAX) / FINE) * FINE;
        let before = i64::from(self.0.load(Relaxed));
        let mean = if before == 0 { sample } else { before + (sample - before) / WEIGHT };
        self.0.store(u32::try_from(mean.max(1)).unwrap_or(u32::MAX), Relaxed);
    }

    /// Tokens to expect of an answer that may have at most `max`.
    pub fn expected(&self, max: Option<u64>) -> u64 {
        let mean = match self.0.load(Relaxed) {
            0 => FIRST_GUESS,
            mean => u64::from(mean) / FINE as u64,
        };
        max.map_or(mean, |it| mean.min(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_the_answers_and_bows_to_the_clients_bound() {
        let mean = OutputMean::default();
        assert_eq!((mean.expected(None), mean.expected(Some(50))), (400, 50));
        mean.note(1_000);
        assert_eq!(mean.expected(None), 1_000);
        for _ in 0..500 {
            mean.note(200);
        }
        assert!((200..210).contains(&mean.expected(None)), "{mean:?}");
        mean.note(u64::MAX);
        assert!(mean.expected(None) > 1_000_000);
        // Embeddings write nothing, and that is known from the first one on.
        let embeddings = OutputMean::default();
        embeddings.note(0);
        assert_eq!(embeddings.expected(None), 0);
    }
}
