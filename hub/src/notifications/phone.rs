//! Phone numbers as people in Latin America write them, and as wa.me wants them. Pure.
//!
//! `phonenumber` parses and validates. What it does not know is wa.me's own rules and the old forms that are
//! still written every day, so the digits are first brought into today's form, country by country:
//!
//! - Argentina: `549`, area, number; never the `15`, never the trunk `0`. A number without `9` or `15` is taken
//!   for a mobile, since a landline looks the same and hardly ever has WhatsApp.
//! - Mexico: `52` and ten digits; the `1` after `52` and the trunk `01`, `044`, `045` are history.
//! - Brazil: a mobile's ninth digit is added when it is missing, the trunk `0` and the carrier are dropped.
//! - Chile: the trunk `09` of old mobiles is the `9` of today.
//! - Colombia: the trunk `03` of old mobiles is dropped, a landline's old area gets its `60`.

use phonenumber::country::Id;

/// A number that can be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phone {
    digits: String,
}

impl Phone {
    /// As E.164, `+5491123456789`: what is stored and shown.
    pub(super) fn e164(&self) -> String {
        format!("+{}", self.digits)
    }

    /// As wa.me takes it: digits only.
    pub(super) fn digits(&self) -> &str {
        &self.digits
    }
}

/// Reads a number; one without `+` (or `00`) is the country's own.
///
/// # Errors
/// What would be right.
pub(super) fn parse(text: &str, default: Id) -> Result<Phone, String> {
    let text = text.trim();
    let foreign = text.chars().any(|c| !c.is_ascii_digit() && !"+-.()/ \u{a0}\u{2011}".contains(c));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if foreign || text.rfind('+').is_some_and(|at| at > 0) {
        return Err(format!("must be a phone number, as `{}`", example(default)));
    }
    let international = if text.starts_with('+') {
        Some(digits.as_str())
    } else {
        digits.strip_prefix("00").filter(|rest| rest.len() > 8)
    };
    let (code, national) = match international {
        Some(rest) => split_code(rest).unwrap_or(("", rest)),
        None => (code_of(default), digits.as_str()),
    };
    // With its country's code but without the `+`, as people copy it from WhatsApp.
    let bare = national.strip_prefix(code).filter(|_| international.is_none() && national.len() > 10);
    let readings = std::iter::once(national).chain(bare);
    for national in readings {
        for candidate in candidates(code, national) {
            let e164 = format!("+{code}{candidate}");
            if phonenumber::parse(None, &e164).is_ok_and(|number| number.is_valid()) {
                return Ok(Phone { digits: format!("{code}{candidate}") });
            }
        }
    }
    Err(format!("is not a phone number that exists: write it with its area code, as `{}`", example(default)))
}

/// The countries with rules of their own, by calling code.
const CODES: [(&str, Id); 7] = [
    ("54", Id::AR),
    ("55", Id::BR),
    ("56", Id::CL),
    ("57", Id::CO),
    ("51", Id::PE),
    ("52", Id::MX),
    ("598", Id::UY),
];

fn code_of(country: Id) -> &'static str {
    CODES.iter().find(|(_, id)| *id == country).map_or("54", |(code, _)| code)
}

fn split_code(digits: &str) -> Option<(&'static str, &str)> {
    CODES.iter().find_map(|(code, _)| digits.strip_prefix(code).map(|rest| (*code, rest)))
}

fn example(country: Id) -> &'static str {
    match country {
        Id::BR => "+55 11 91234-5678",
        Id::CL => "+56 9 8765 4321",
        Id::CO => "+57 300 123 4567",
        Id::MX => "+52 55 1234 5678",
        Id::PE => "+51 987 654 321",
        Id::UY => "+598 94 123 456",
        _ => "+54 9 11 2345-6789",
    }
}

/// Today's forms of a national number, likeliest first.
fn candidates(code: &str, national: &str) -> Vec<String> {
    let plain = national.trim_start_matches('0');
    match code {
        "54" => argentina(plain),
        "52" => vec![mexico(national)],
        "55" => brazil(national),
        "56" => chile(national),
        "57" => vec![colombia(national)],
        _ if code.is_empty() => vec![national.to_owned()],
        _ => vec![plain.to_owned()],
    }
}

/// Ten digits behind the mobile `9`; the `15` may stand behind an area code of two to four digits.
fn argentina(plain: &str) -> Vec<String> {
    let plain = if plain.len() > 10 { plain.strip_prefix('9').unwrap_or(plain) } else { plain };
    let plain = plain.trim_start_matches('0');
    match plain.len() {
        10 => vec![format!("9{plain}")],
        12 => [2, 3, 4]
            .into_iter()
            .filter_map(|area| {
                let number = plain.get(area..)?.strip_prefix("15")?;
                Some(format!("9{}{number}", plain.get(..area)?))
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn mexico(national: &str) -> String {
    let trunk = ["044", "045", "01", "1"].into_iter().find_map(|trunk| national.strip_prefix(trunk));
    trunk.filter(|rest| rest.len() == 10).unwrap_or(national).to_owned()
}

fn brazil(national: &str) -> Vec<String> {
    let plain = national.trim_start_matches('0');
    // `0`, a carrier of two digits, area, number.
    let carried = if plain.len() < national.len() { plain.get(2..) } else { None };
    let modern = |plain: &str| {
        let mobile = plain.len() == 10 && plain[2..].starts_with(['6', '7', '8', '9']);
        if mobile { format!("{}9{}", &plain[..2], &plain[2..]) } else { plain.to_owned() }
    };
    match plain.len() {
        10 | 11 => vec![modern(plain)],
        12 | 13 => carried.map(modern).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// A mobile behind the old `03`; a landline as before 2021, an area of one digit and seven more.
fn colombia(national: &str) -> String {
    let plain = national.trim_start_matches('0');
    match national.strip_prefix("03") {
        Some(mobile) if mobile.len() == 10 => mobile.to_owned(),
        _ if plain.len() == 8 => format!("60{plain}"),
        _ => plain.to_owned(),
    }
}

fn chile(national: &str) -> Vec<String> {
    let plain = national.trim_start_matches('0');
    vec![plain.to_owned()]
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        country: String,
        input: String,
        whatsapp: Option<String>,
        note: String,
    }

    #[test]
    fn numbers_are_read_as_people_write_them_and_written_as_wa_me_wants_them() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/vectors/phones.json")).unwrap();
        let mut wrong = Vec::new();
        for case in &cases {
            let found = parse(&case.input, case.country.parse().unwrap()).ok().map(|phone| phone.digits);
            if found != case.whatsapp {
                wrong.push((&case.country, &case.input, &case.note, &case.whatsapp, found));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn the_table_has_two_hundred_numbers_of_seven_countries_with_mistakes() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/vectors/phones.json")).unwrap();
        let distinct: HashSet<_> = cases.iter().map(|case| (&case.country, &case.input)).collect();
        assert!(distinct.len() == cases.len() && cases.len() >= 200, "{} of {}", distinct.len(), cases.len());
        let mut by_country: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for case in &cases {
            let count = by_country.entry(&case.country).or_default();
            if case.whatsapp.is_some() { count.0 += 1 } else { count.1 += 1 }
        }
        assert_eq!(by_country.len(), CODES.len());
        assert!(by_country.values().all(|(right, wrong)| *right >= 10 && *wrong >= 3), "{by_country:?}");
    }

    #[test]
    fn what_is_refused_is_told_with_an_example_of_the_country() {
        assert!(parse("2345", Id::BR).unwrap_err().contains("+55 11"));
        assert!(parse("once", Id::AR).unwrap_err().contains("+54 9"));
    }
}
