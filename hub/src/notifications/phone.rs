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
//! - Colombia: the trunk `03` of old mobiles is dropped.

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
        "57" => vec![plain.to_owned()],
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

fn chile(national: &str) -> Vec<String> {
    let plain = national.trim_start_matches('0');
    vec![plain.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, country: Id) -> String {
        parse(text, country).map_or_else(|_| "refused".to_owned(), |phone| phone.digits)
    }

    fn check(country: Id, table: &[(&str, &str)]) {
        let wrong: Vec<_> = table
            .iter()
            .map(|(text, expected)| (*text, *expected, read(text, country)))
            .filter(|(_, expected, found)| expected != found)
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn argentine_numbers_lose_the_15_and_gain_the_9() {
        check(
            Id::AR,
            &[
                ("11 2345-6789", "5491123456789"),
                ("011 15 2345-6789", "5491123456789"),
                ("11 15 2345 6789", "5491123456789"),
                ("+54 9 11 2345-6789", "5491123456789"),
                ("+54 11 2345 6789", "5491123456789"),
                ("+54 9 011 15 2345 6789", "5491123456789"),
                ("5491123456789", "5491123456789"),
                ("0054 9 11 2345 6789", "5491123456789"),
                ("(0351) 15-612-3456", "5493516123456"),
                ("351 612 3456", "5493516123456"),
                ("02966 15 41-2345", "5492966412345"),
                ("2966412345", "5492966412345"),
                ("4321-5678", "refused"),
                ("15 2345-6789", "refused"),
                ("11 2345-678", "refused"),
                ("11 2345-67890", "refused"),
                ("0000000000", "refused"),
                ("once quince", "refused"),
                ("11+23456789", "refused"),
                ("", "refused"),
            ],
        );
    }

    #[test]
    fn mexican_numbers_have_ten_digits_and_no_1() {
        check(
            Id::MX,
            &[
                ("55 1234 5678", "525512345678"),
                ("044 55 1234 5678", "525512345678"),
                ("045 33 1234 5678", "523312345678"),
                ("01 55 1234 5678", "525512345678"),
                ("+52 1 55 1234 5678", "525512345678"),
                ("+52 55 1234 5678", "525512345678"),
                ("5215512345678", "525512345678"),
                ("1234 5678", "refused"),
            ],
        );
    }

    #[test]
    fn brazilian_mobiles_get_their_ninth_digit() {
        check(
            Id::BR,
            &[
                ("(11) 91234-5678", "5511912345678"),
                ("(11) 8123-4567", "5511981234567"),
                ("+55 11 91234 5678", "5511912345678"),
                ("+55 (0) 11 91234 5678", "5511912345678"),
                ("0 15 11 91234-5678", "5511912345678"),
                ("011 91234-5678", "5511912345678"),
                ("(11) 3123-4567", "551131234567"),
                ("5511912345678", "5511912345678"),
                ("91234-5678", "refused"),
            ],
        );
    }

    #[test]
    fn the_others_are_read_as_they_are_written_there() {
        check(
            Id::CL,
            &[
                ("9 8765 4321", "56987654321"),
                ("09 8765 4321", "56987654321"),
                ("+56 9 8765 4321", "56987654321"),
                ("2 2345 6789", "56223456789"),
                ("876", "refused"),
            ],
        );
        check(
            Id::CO,
            &[
                ("300 123 4567", "573001234567"),
                ("+57 300 1234567", "573001234567"),
                ("03 300 123 4567", "refused"),
            ],
        );
        check(
            Id::PE,
            &[("987 654 321", "51987654321"), ("+51 987654321", "51987654321"), ("98765432", "refused")],
        );
        check(
            Id::UY,
            &[
                ("094 123 456", "59894123456"),
                ("+598 94 123 456", "59894123456"),
                ("94123456", "59894123456"),
            ],
        );
        check(
            Id::AR,
            &[
                ("+34 612 34 56 78", "34612345678"),
                ("+1 415 555 2671", "14155552671"),
                ("+999 123456789", "refused"),
            ],
        );
    }
}
