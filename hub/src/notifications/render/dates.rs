//! Times as people read them: `{{ paid_at | datetime }}` is `24/11/2026, 14:30` in Spanish and `Nov 24, 2026, 2:30 PM` in
//! English, at the project's own clock.

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};
use chrono_tz::Tz;

const MONTHS_ES: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];
const MONTHS_PT: [&str; 12] = [
    "janeiro",
    "fevereiro",
    "março",
    "abril",
    "maio",
    "junho",
    "julho",
    "agosto",
    "setembro",
    "outubro",
    "novembro",
    "dezembro",
];
const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A day, with its time if one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    day: NaiveDate,
    time: Option<(u32, u32)>,
}

impl Moment {
    /// Reads `2026-11-24` or a time with its offset, which is taken to the zone.
    pub(super) fn read(text: &str, zone: Tz) -> Option<Self> {
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Some(Self { day, time: None });
        }
        let there = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc).with_timezone(&zone);
        Some(Self { day: there.date_naive(), time: Some((there.hour(), there.minute())) })
    }

    /// `24/11/2026`, or `24 de noviembre de 2026`.
    pub(super) fn date(self, locale: &str, is_long: bool) -> String {
        let (year, month, day) = (self.day.year(), self.day.month(), self.day.day());
        let name = |names: [&'static str; 12]| names[self.day.month0() as usize];
        let is_american = matches!(locale, "en" | "en-US");
        match (locale.split('-').next().unwrap_or_default(), is_long) {
            ("en", true) if is_american => format!("{} {day}, {year}", name(MONTHS_EN)),
            ("en", true) => format!("{day} {} {year}", name(MONTHS_EN)),
            ("en", false) if is_american => format!("{} {day}, {year}", &name(MONTHS_EN)[..3]),
            ("pt", true) => format!("{day} de {} de {year}", name(MONTHS_PT)),
            ("es", true) => format!("{day} de {} de {year}", name(MONTHS_ES)),
            (_, true) => format!("{year}-{month:02}-{day:02}"),
            (_, false) => format!("{day:02}/{month:02}/{year}"),
        }
    }

    /// `14:30`; `None` if only a day was given.
    pub(super) fn time(self, locale: &str) -> Option<String> {
        let (hour, minute) = self.time?;
        if matches!(locale, "en" | "en-US") {
            let half = if hour < 12 { "AM" } else { "PM" };
            return Some(format!("{}:{minute:02} {half}", (hour + 11) % 12 + 1));
        }
        Some(format!("{hour:02}:{minute:02}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, zone: &str, locale: &str, is_long: bool) -> String {
        let moment = Moment::read(text, zone.parse().unwrap()).unwrap();
        let time = moment.time(locale).map(|time| format!(", {time}")).unwrap_or_default();
        moment.date(locale, is_long) + &time
    }

    #[test]
    fn times_are_written_by_locale_at_the_projects_clock() {
        let utc = "2026-11-24T02:05:00Z";
        for (zone, locale, is_long, expected) in [
            ("America/Argentina/Buenos_Aires", "es-AR", false, "23/11/2026, 23:05"),
            ("America/Argentina/Buenos_Aires", "es", true, "23 de noviembre de 2026, 23:05"),
            ("America/Sao_Paulo", "pt-BR", true, "23 de novembro de 2026, 23:05"),
            ("America/Mexico_City", "es-MX", false, "23/11/2026, 20:05"),
            ("UTC", "en", false, "Nov 24, 2026, 2:05 AM"),
            ("UTC", "en-GB", true, "24 November 2026, 02:05"),
            ("UTC", "fr", true, "2026-11-24, 02:05"),
        ] {
            assert_eq!(shown(utc, zone, locale, is_long), expected);
        }
        assert_eq!(shown("2026-01-02", "America/Lima", "en", true), "January 2, 2026");
        for wrong in ["2026-13-01", "2026-11-24T02:05:00", "tomorrow", ""] {
            assert_eq!(Moment::read(wrong, Tz::UTC), None, "{wrong}");
        }
    }
}
