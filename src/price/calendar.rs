//! Dates, hours of the week and holidays, all in UTC. Moments are seconds since 1970-01-01; days are whole ones since then.

use std::collections::BTreeMap;
use std::ops::Range;

use super::PriceFault;
use super::options::{Weekday, WhenOptions};

const DAY_SECONDS: u64 = 86_400;

/// The moment of a date (`2026-12-01`, its first second) or of a date and time (`2026-12-01T10:00:00Z`).
pub fn moment(text: &str) -> Option<u64> {
    let Some((date, time)) = text.split_once('T') else {
        return Some(day(text)? * DAY_SECONDS);
    };
    let mut parts = time.strip_suffix('Z')?.split(':').map(|it| digits(it, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    is_time.then_some(day(date)? * DAY_SECONDS + hour * 3_600 + minute * 60 + second)
}

/// The day of a date from 1970 to 9999.
fn day(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_date = parts.next().is_none() && year >= 1970 && (1..=12).contains(&month);
    (is_date && (1..=month_days(year, month)).contains(&day)).then(|| day_of(year, month, day))
}

fn digits(text: &str, count: usize) -> Option<u64> {
    let is_number = text.len() == count && text.bytes().all(|it| it.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn month_days(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years begin in March here, so that the leap day is the last of its year.
fn day_of(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A moment as `2026-12-01`, or `2026-12-01T10:00:00Z` where it is not the first second of its day.
pub fn describe(at: u64) -> String {
    let (day, second) = (at / DAY_SECONDS + 719_468, at % DAY_SECONDS);
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let date = format!("{year:04}-{month:02}-{:02}", of_year - (153 * shifted + 2) / 5 + 1);
    match second {
        0 => date,
        _ => format!("{date}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60),
    }
}

/// Lists of days by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Holidays(BTreeMap<String, Vec<u64>>);

impl Holidays {
    /// Adds days to lists, or says which of them are none.
    pub fn add(&mut self, lists: &BTreeMap<String, Vec<String>>, faults: &mut Vec<PriceFault>) {
        for (name, days) in lists {
            let list = self.0.entry(name.clone()).or_default();
            for (index, text) in days.iter().enumerate() {
                match day(text) {
                    Some(day) => list.push(day),
                    None => {
                        let path = ["holidays", name, &index.to_string()];
                        faults
                            .push(PriceFault::new(&path, format!("`{text}` is no date, such as 2027-02-09")));
                    }
                }
            }
            list.sort_unstable();
            list.dedup();
        }
    }
}

/// Hours of certain days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// One bit a weekday, Monday first.
    days: u8,
    /// Seconds of the day; none: all of it.
    hours: Vec<Range<u64>>,
    /// Days on which it is shut, in order.
    shut: Vec<u64>,
}

const EVERY_DAY: u8 = 0b111_1111;

impl Window {
    /// Reads the hours of a condition; `None` if it has none.
    pub(super) fn read(
        options: &WhenOptions,
        holidays: &Holidays,
        faults: &mut Vec<PriceFault>,
    ) -> Option<Self> {
        let mut window = Self { days: EVERY_DAY, hours: Vec::new(), shut: Vec::new() };
        if !options.days.is_empty() {
            window.days = options.days.iter().fold(0, |days, it| days | 1 << weekday_index(*it));
        }
        for (index, text) in options.utc.iter().enumerate() {
            match hours(text) {
                Some(hours) => window.hours.push(hours),
                None => {
                    let message = format!("`{text}` is no span of a day, such as 01:00-04:00 or 22:00-24:00");
                    faults.push(PriceFault::new(&["utc", &index.to_string()], message));
                }
            }
        }
        if let Some(name) = &options.except {
            match holidays.0.get(name) {
                Some(days) => window.shut.clone_from(days),
                None => faults.push(PriceFault::new(&["except"], format!("no holidays are called `{name}`"))),
            }
        }
        let is_all = options.days.is_empty() && options.utc.is_empty() && options.except.is_none();
        (!is_all).then_some(window)
    }

    /// Whether the moment falls into it; the end of a span does not.
    pub fn contains(&self, at: u64) -> bool {
        let (day, second) = (at / DAY_SECONDS, at % DAY_SECONDS);
        self.days & (1 << weekday_of(day)) != 0
            && (self.hours.is_empty() || self.hours.iter().any(|it| it.contains(&second)))
            && self.shut.binary_search(&day).is_err()
    }

    /// Its hours and days as a person reads them: `01:00-04:00 06:00-10:00 UTC, mon-fri, but on holidays`.
    pub fn describe(&self) -> String {
        const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let time = |it: u64| format!("{:02}:{:02}", it / 3_600, it / 60 % 60);
        let hours: Vec<_> =
            self.hours.iter().map(|it| format!("{}-{}", time(it.start), time(it.end))).collect();
        let mut parts = Vec::new();
        if !hours.is_empty() {
            parts.push(format!("{} UTC", hours.join(" ")));
        }
        match self.days {
            EVERY_DAY => {}
            0b001_1111 => parts.push("mon-fri".to_owned()),
            days => {
                let names: Vec<_> = (0..7).filter(|it| days & (1 << it) != 0).map(|it| NAMES[it]).collect();
                parts.push(names.join(" "));
            }
        }
        if !self.shut.is_empty() {
            parts.push("not on holidays".to_owned());
        }
        parts.join(", ")
    }
}

/// 1970-01-01 was a Thursday; Monday is 0.
fn weekday_of(day: u64) -> u64 {
    (day + 3) % 7
}

fn weekday_index(day: Weekday) -> u64 {
    day as u64
}

/// `01:00-04:00`, half open.
fn hours(text: &str) -> Option<Range<u64>> {
    let time = |text: &str| -> Option<u64> {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute) = (digits(hour, 2)?, digits(minute, 2)?);
        (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 3_600 + minute * 60)
    };
    let (start, end) = text.split_once('-')?;
    let (start, end) = (time(start)?, time(end)?);
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_described() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(moment(text), expected, "{text}");
            if let Some(at) = expected {
                assert_eq!(describe(at), text);
            }
        };
        check("1970-01-01", Some(0));
        check("2000-02-29", Some(951_782_400));
        check("2026-11-30T23:59:59Z", Some(1_796_083_199));
        check("2026-12-01", Some(1_796_083_200));
        check("2100-03-01", Some(4_107_542_400));
        for text in ["2026-02-29", "2026-13-01", "2026-1-1", "2026-12-01T24:00:00Z", "2026-12-01T10:00:00"] {
            check(text, None);
        }
        for text in ["", "1969-12-31", "2026-12-01T10:00Z", "2026-12-01-01", "20261201"] {
            check(text, None);
        }
    }

    fn window(utc: &[&str], days: &[Weekday]) -> Window {
        let mut holidays = Holidays::default();
        holidays.add(&BTreeMap::from([("h".to_owned(), vec!["2026-10-01".to_owned()])]), &mut Vec::new());
        let text = |it: &&str| (*it).to_owned();
        let options: WhenOptions =
            serde_json::from_value(serde_json::json!({"input": "1", "output": "1"})).unwrap();
        let options = WhenOptions {
            utc: utc.iter().map(text).collect(),
            days: days.to_vec(),
            except: Some("h".into()),
            ..options
        };
        let mut faults = Vec::new();
        let window = Window::read(&options, &holidays, &mut faults).unwrap();
        assert_eq!(faults, []);
        window
    }

    #[test]
    fn a_window_begins_with_its_first_second_and_ends_before_its_last() {
        let peak = window(&["01:00-04:00", "06:00-10:00"], &[Weekday::Wed, Weekday::Thu]);
        let check = |at: &str, expected| assert_eq!(peak.contains(moment(at).unwrap()), expected, "{at}");
        // 2026-09-30 is a Wednesday, and 2026-10-01 a holiday.
        check("2026-09-30T00:59:59Z", false);
        check("2026-09-30T01:00:00Z", true);
        check("2026-09-30T03:59:59Z", true);
        check("2026-09-30T04:00:00Z", false);
        check("2026-09-30T06:00:00Z", true);
        check("2026-10-01T02:00:00Z", false);
        check("2026-10-02T02:00:00Z", false);
        check("2026-10-08T02:00:00Z", true);
        assert_eq!(peak.describe(), "01:00-04:00 06:00-10:00 UTC, wed thu, not on holidays");
        let evening = window(&["22:00-24:00"], &[]);
        assert!(evening.contains(moment("2026-09-30T23:59:59Z").unwrap()));
    }

    #[test]
    fn a_span_ends_after_it_begins_and_on_its_day() {
        for text in ["04:00-01:00", "01:00-01:00", "1:00-2:00", "01:00", "23:00-24:01", "01:60-02:00", ""] {
            assert_eq!(hours(text), None, "{text}");
        }
    }
}
