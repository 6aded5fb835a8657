//! When a rule holds: hours of the day, days of the week, in the machine's time zone.

use std::str::FromStr;

use jiff::ZonedDateTime;
use jiff::civil::Weekday;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// `"08:00-18:00"`; an end before the begin runs past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    until: u16,
}

impl Hours {
    /// Whether `now` lies in it; the last minute is not part of it.
    pub fn contain(self, now: &ZonedDateTime) -> bool {
        // An hour is below 24 and a minute below 60.
        let minute = u16::try_from(now.hour()).unwrap_or(0) * 60 + u16::try_from(now.minute()).unwrap_or(0);
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minute = |part: &str| {
            let (hour, minute) = part.split_once(':')?;
            let plain = |s: &str| {
                (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<u16>().ok())
            };
            let (hour, minute) = (plain(hour)??, plain(minute)??);
            (hour * 60 + minute <= 24 * 60 && minute < 60).then_some(hour * 60 + minute)
        };
        let hours = text
            .split_once('-')
            .and_then(|(from, until)| Some(Self { from: minute(from)?, until: minute(until)? }));
        hours
            .filter(|hours| hours.from != hours.until)
            .ok_or_else(|| format!("`{text}` is not hours such as `08:00-18:00`"))
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    /// The day of `now`.
    pub fn of(now: &ZonedDateTime) -> Self {
        match now.weekday() {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    fn at(hour: i8, minute: i8) -> ZonedDateTime {
        date(2026, 11, 23).at(hour, minute, 0, 0).to_zoned_datetime(TimeZone::UTC).unwrap()
    }

    #[test]
    fn hours_end_before_their_last_minute_and_may_pass_midnight() {
        let day: Hours = "08:00-18:00".parse().unwrap();
        assert!(day.contain(&at(8, 0)) && day.contain(&at(17, 59)) && !day.contain(&at(18, 0)));
        let night: Hours = "22:00-06:00".parse().unwrap();
        assert!(night.contain(&at(23, 0)) && night.contain(&at(5, 59)) && !night.contain(&at(12, 0)));
        assert!("00:00-24:00".parse::<Hours>().unwrap().contain(&at(23, 59)));
    }

    #[test]
    fn what_is_not_hours_is_refused() {
        for bad in
            ["", "8-18", "08:00", "25:00-26:00", "08:60-09:00", "08:00-08:00", "+8:00-09:00", "é8:00-09:00"]
        {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn days_are_the_calendar_s() {
        assert_eq!(Day::of(&at(0, 0)), Day::Mon);
    }
}
