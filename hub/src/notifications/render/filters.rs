//! What a shop's templates need beyond MiniJinja: amounts, times, and addresses that are safe to tap.

use minijinja::value::{Kwargs, Value as Shown};
use minijinja::{Environment, Error, ErrorKind};

use super::Manner;
use super::dates::Moment;
use super::money::Style;

/// Adds the filters: `money`, `date`, `datetime`, `time`, `url`.
pub(super) fn add(environment: &mut Environment<'static>, manner: Manner<'_>) {
    let locale = manner.locale.to_owned();
    environment.add_filter("money", move |amount: &Shown, currency: &str, options: Kwargs| {
        let asked: Option<&str> = options.get("locale")?;
        options.assert_all_used()?;
        given(amount, "amount")?;
        Ok::<_, Error>(Style::of(asked.unwrap_or(&locale)).format(amount, currency))
    });
    let clock = Clock { locale: manner.locale.to_owned(), zone: manner.time_zone };
    let (date, datetime, time) = (clock.clone(), clock.clone(), clock);
    environment.add_filter("date", move |at: &Shown, length: Option<&str>, options: Kwargs| {
        let (moment, locale) = date.read(at, &options)?;
        Ok::<_, Error>(moment.date(&locale, is_long(length)?))
    });
    environment.add_filter("datetime", move |at: &Shown, length: Option<&str>, options: Kwargs| {
        let (moment, locale) = datetime.read(at, &options)?;
        let day = moment.date(&locale, is_long(length)?);
        Ok::<_, Error>(match moment.time(&locale) {
            Some(time) => format!("{day}, {time}"),
            None => day,
        })
    });
    environment.add_filter("time", move |at: &Shown, options: Kwargs| {
        let (moment, locale) = time.read(at, &options)?;
        moment.time(&locale).ok_or_else(|| wrong("is a day without a time"))
    });
    environment.add_filter("url", url);
}

/// An address for `href` or `src`. Escaping alone would let `javascript:` through.
fn url(address: &Shown) -> Result<String, Error> {
    given(address, "address")?;
    let text = address.to_string();
    let lower = text.to_ascii_lowercase();
    let is_known =
        ["https://", "http://", "mailto:", "tel:", "cid:"].iter().any(|start| lower.starts_with(start));
    if is_known && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Ok(text)
    } else {
        Err(wrong("must be an address that begins with `https://`, `http://`, `mailto:` or `tel:`"))
    }
}

#[derive(Clone)]
struct Clock {
    locale: String,
    zone: chrono_tz::Tz,
}

impl Clock {
    /// The moment, and the locale in which to write it. `locale` and `time_zone` may be said otherwise.
    fn read(&self, at: &Shown, options: &Kwargs) -> Result<(Moment, String), Error> {
        let locale: Option<&str> = options.get("locale")?;
        let zone: Option<&str> = options.get("time_zone")?;
        options.assert_all_used()?;
        given(at, "time")?;
        let zone = match zone {
            Some(name) => name.parse().map_err(|_| wrong("the time zone must be one as `America/Lima`"))?,
            None => self.zone,
        };
        let text = at.to_string();
        let moment = Moment::read(&text, zone).ok_or_else(|| {
            wrong("must be a time as `2026-11-24T14:30:00-03:00`, or a day as `2026-11-24`")
        })?;
        Ok((moment, locale.unwrap_or(&self.locale).to_owned()))
    }
}

fn is_long(length: Option<&str>) -> Result<bool, Error> {
    match length {
        None | Some("short") => Ok(false),
        Some("long") => Ok(true),
        Some(_) => Err(wrong("a date is `short` or `long`")),
    }
}

/// A filter is handed what is missing; without this a mail would leave without its total.
fn given(value: &Shown, what: &str) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Err(Error::new(ErrorKind::UndefinedError, format!("the {what} is missing")));
    }
    Ok(())
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(source: &str) -> Result<String, String> {
        let mut environment = Environment::new();
        add(
            &mut environment,
            Manner { locale: "es-AR", time_zone: chrono_tz::America::Argentina::Buenos_Aires },
        );
        let data = json!({"at": "2026-11-24T17:30:00Z", "on": "2026-11-24", "total": "1500", "url": "https://x.example/?a=1&b=2", "bad": "javascript:alert(1)"});
        environment
            .render_str(source, Shown::from(minijinja::value::Serde(data)))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn filters_write_for_the_shop_unless_told_otherwise() {
        for (source, expected) in [
            ("{{ at | datetime }}", "24/11/2026, 14:30"),
            (
                "{{ at | datetime('long', time_zone='America/Mexico_City') }}",
                "24 de noviembre de 2026, 11:30",
            ),
            ("{{ at | time(locale='en') }}", "2:30 PM"),
            ("{{ on | date('long') }}", "24 de noviembre de 2026"),
            ("{{ on | datetime }}", "24/11/2026"),
            ("{{ total | money('MXN', locale='es-MX') }}", "$1,500.00"),
            ("{{ url | url }}", "https://x.example/?a=1&b=2"),
        ] {
            assert_eq!(shown(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        for source in [
            "{{ bad | url }}",
            "{{ bad | date }}",
            "{{ on | time }}",
            "{{ at | date('longer') }}",
            "{{ at | date(zone='x') }}",
            "{{ at | date(time_zone='Mars') }}",
            "{{ nothing | date }}",
        ] {
            assert!(shown(source).is_err(), "{source}");
        }
    }
}
