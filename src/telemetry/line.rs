//! What every log line shares: its time, its level, and text that cannot break out of its line.

use std::cell::Cell;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::options::LogLevel;

/// Bytes of one text value on a line; the rest is cut off. Keeps a line, and so the queue of lines, small.
pub const VALUE_BYTES_MAX: usize = 4_096;

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
        }
    }

    /// The colour a terminal shows it in.
    fn colour(self) -> &'static str {
        match self {
            LogLevel::Error => "\x1b[31m",
            LogLevel::Warn => "\x1b[33m",
            LogLevel::Info => "\x1b[32m",
            LogLevel::Debug => "\x1b[34m",
        }
    }
}

const STAMP_BYTES: usize = "2026-01-31T12:34:56.789Z".len();

/// A moment in UTC with milliseconds, spelled as RFC 3339.
#[derive(Clone, Copy)]
pub struct Stamp([u8; STAMP_BYTES]);

thread_local! {
    /// The last second spelled out on this thread: within one second only the milliseconds differ.
    static SECOND: Cell<(u64, Stamp)> = const { Cell::new((0, Stamp(*b"1970-01-01T00:00:00.000Z"))) };
}

impl Stamp {
    pub fn now() -> Self {
        Self::at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn at(since_epoch: Duration) -> Self {
        let second = since_epoch.as_secs();
        let (known, mut stamp) = SECOND.get();
        if known != second {
            stamp = Self::of_second(second);
            SECOND.set((second, stamp));
        }
        put(&mut stamp.0[20..23], u64::from(since_epoch.subsec_millis()));
        stamp
    }

    fn of_second(second: u64) -> Self {
        let (year, month, day) = civil(second / 86_400);
        let of_day = second % 86_400;
        let mut stamp = Self(*b"0000-00-00T00:00:00.000Z");
        let text = &mut stamp.0;
        put(&mut text[0..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[11..13], of_day / 3_600);
        put(&mut text[14..16], of_day / 60 % 60);
        put(&mut text[17..19], of_day % 60);
        stamp
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a time stamp is made of ASCII")
    }

    /// Hours to milliseconds: what a person at a terminal wants of it.
    pub fn time_of_day(&self) -> &str {
        &self.as_str()[11..23]
    }
}

/// Fills the whole slot with decimal digits, zeros in front.
fn put(slot: &mut [u8], mut number: u64) {
    for digit in slot.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. Years are counted from March, so that
/// the leap day is the last day of its year.
fn civil(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days_since_epoch + DAYS_FROM_MARCH_OF_YEAR_0;
    let of_era = days % DAYS_IN_400_YEARS;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    let year = days / DAYS_IN_400_YEARS * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The start of a line for people: `12:34:56.789 INFO`. Time is UTC, as in JSON lines.
pub fn write_head(out: &mut String, level: LogLevel, colour: bool) {
    out.push_str(Stamp::now().time_of_day());
    out.push(' ');
    if colour {
        out.push_str(level.colour());
    }
    out.push_str(level.as_str());
    if colour {
        out.push_str("\x1b[0m");
    }
}

/// ` key=value`. Text that is not one plain word is quoted and escaped: a client's model name must neither start a
/// line of its own nor steer the terminal.
pub fn write_pair(out: &mut String, key: &str, value: &str) {
    out.push(' ');
    out.push_str(key);
    out.push('=');
    let value = cut(value, VALUE_BYTES_MAX);
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    if !value.is_empty() && value.bytes().all(plain) {
        out.push_str(value);
    } else {
        write!(out, "{value:?}").expect("writing into a String cannot fail");
    }
}

/// Text in its own words, without quotes, control characters escaped.
pub fn write_words(out: &mut String, text: &str) {
    for letter in cut(text, VALUE_BYTES_MAX).chars() {
        if letter.is_control() {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
}

/// At most so many bytes of the text, never half a character.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: u64, millis: u32, expected: &str) {
        assert_eq!(Stamp::at(Duration::new(seconds, millis * 1_000_000)).as_str(), expected);
    }

    #[test]
    fn a_moment_is_spelled_as_rfc_3339() {
        check(0, 0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, 999, "2000-02-28T23:59:59.999Z");
        check(951_782_400, 7, "2000-02-29T00:00:00.007Z");
        check(1_709_251_199, 40, "2024-02-29T23:59:59.040Z");
        check(1_709_251_200, 0, "2024-03-01T00:00:00.000Z");
        check(1_735_689_599, 0, "2024-12-31T23:59:59.000Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn the_cached_second_does_not_outlive_its_second() {
        check(86_399, 999, "1970-01-01T23:59:59.999Z");
        check(86_399, 1, "1970-01-01T23:59:59.001Z");
        check(86_400, 0, "1970-01-02T00:00:00.000Z");
    }

    #[test]
    fn every_day_agrees_with_the_http_date_of_that_day() {
        for day in (0..60_000).step_by(13) {
            let moment = UNIX_EPOCH + Duration::from_secs(day * 86_400);
            let (year, _, day_of_month) = civil(day);
            let date = httpdate::fmt_http_date(moment);
            assert_eq!(date[12..16], format!("{year:04}"));
            assert_eq!(date[5..7], format!("{day_of_month:02}"));
        }
    }

    #[test]
    fn a_value_cannot_break_out_of_its_line() {
        let mut out = String::new();
        write_pair(&mut out, "model", "gpt-4\n12:00:00 INFO forged\x1b[2J");
        write_pair(&mut out, "client", "shop");
        assert_eq!(out, r#" model="gpt-4\n12:00:00 INFO forged\u{1b}[2J" client=shop"#);
    }

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("a", 9), "a");
    }
}
