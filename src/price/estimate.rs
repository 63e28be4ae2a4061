//! How many tokens a text has, by a look at its bytes: no tables, no allocation, and of a long text only samples.
//!
//! A text is cut into what tokenizers cut it into (words, groups of digits, runs of marks, breaks, characters of other
//! scripts), and each kind has a weight, fitted to counts of OpenAI's o200k over prose, code, JSON and seven languages:
//! within 15 % of it as a rule. Older tokenizers need up to twice as many outside English; what differs at a target,
//! its [`Calibration`] learns.

mod calibration;
mod census;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use memchr::memmem::Finder;

pub use calibration::Calibration;
use census::Census;

/// Length of one sample, in bytes.
const BLOCK_BYTES: usize = 256;

/// Most samples taken of one text; one that is no longer than all of them together is read whole.
const BLOCKS_MAX: usize = 8;

/// From block to block its place in its share moves by this, a prime, in bytes.
const STEP: usize = 1_000_003;

/// Tokens of one image or file that is sent inside the request: about a photograph of 1,000 by 750 dots, as most vendors
/// count it. Its true size would have to be decoded.
pub const IMAGE_TOKENS: u64 = 1_000;

/// Data URIs that are looked for in one request; further ones count as the text they are not, which is nothing.
const IMAGES_MAX: usize = 256;

static DATA_URI: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b";base64,"));

/// Tokens of a prompt, by the JSON body it is sent in: microseconds whatever its size. Images inside count
/// [`IMAGE_TOKENS`] each, other base64 (audio) nothing. 0 only for an empty body.
pub fn prompt_tokens(body: &[u8]) -> u64 {
    let sampled = sample(body, BLOCKS_MAX, true);
    let tokens = match sampled.base64 {
        false => sampled.tokens,
        true => tokens_around_images(body),
    };
    tokens.max(u64::from(!body.is_empty()))
}

/// Tokens of plain text, such as an answer's whose vendor did not count. 0 only for an empty one.
pub fn text_tokens(text: &[u8]) -> u64 {
    sample(text, BLOCKS_MAX, false).tokens.max(u64::from(!text.is_empty()))
}

/// A body whose samples showed base64: the text between its images, and a flat number for each of those.
fn tokens_around_images(body: &[u8]) -> u64 {
    let starts = || DATA_URI.find_iter(body).map(|at| at + DATA_URI.needle().len()).take(IMAGES_MAX);
    let images = starts().count();
    let blocks = (BLOCKS_MAX / (images + 1)).max(1);
    let (mut tokens, mut from) = (0, 0);
    for start in starts() {
        if start < from {
            continue;
        }
        tokens += sample(&body[from..start], blocks, true).tokens + IMAGE_TOKENS;
        from = start + memchr::memchr(b'"', &body[start..]).unwrap_or(body.len() - start);
    }
    tokens + sample(&body[from..], blocks, true).tokens
}

struct Sampled {
    tokens: u64,
    /// A stretch that looks like base64 was seen; it counts nothing.
    base64: bool,
}

/// Reads a text of up to `blocks` blocks whole, and of a longer one that many, evenly spread.
fn sample(text: &[u8], blocks: usize, is_json: bool) -> Sampled {
    let mut census = Census::new(is_json);
    let whole = text.len() <= blocks * BLOCK_BYTES;
    if whole {
        census.take(text);
        return Sampled { tokens: census.millitokens().div_ceil(1_000), base64: census.base64 };
    }
    // One block lies in each of equal shares, so no message alone decides; and each time at another place in it, for
    // a text that repeats itself could repeat in step with the shares.
    let share = text.len() / blocks;
    for at in 0..blocks {
        let start = at * share + at * STEP % (share - BLOCK_BYTES + 1);
        census.take(&text[start..start + BLOCK_BYTES]);
    }
    let sampled = (blocks * BLOCK_BYTES) as u128;
    let tokens = u128::from(census.millitokens()) * text.len() as u128 / (1_000 * sampled);
    Sampled { tokens: u64::try_from(tokens).unwrap_or(u64::MAX), base64: census.base64 }
}
