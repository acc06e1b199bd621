//! What the texts of single settings mean.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use trastienda_protocol::api_key::ApiKey;
use url::Url;

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("must be `true` or `false`, not `{other}`")),
    }
}

pub(super) fn hub_url(text: &str, allow_http: bool) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http || is_loopback(&url) => Ok(url),
        "http" => Err("is `http://` to another host, so the key would travel in the clear: use `https://`, \
             or set TRASTIENDA_HUB_ALLOW_HTTP=true if the network between is yours"
            .to_owned()),
        other => Err(format!("must start with `https://`, not `{other}:`")),
    }
}

pub(super) fn app_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("is not a URL: {error}"))?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "http" | "https" if is_plain => Ok(url),
        "http" | "https" => Err("must not hold a user, a password, a query or a fragment".to_owned()),
        other => Err(format!("must start with `http://` or `https://`, not `{other}:`")),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

pub(super) fn key_from_file(path: &Path) -> Result<ApiKey, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot be read from {}: {error}", path.display()))?;
    ApiKey::parse(text.trim()).map_err(|error| format!("({}): {error}", path.display()))
}

pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(|port| SocketAddr::from(([127, 0, 0, 1], port))).ok(),
        None => text.parse().ok(),
    };
    let address =
        address.ok_or_else(|| format!("must be an address and a port as `127.0.0.1:7070`, not `{text}`"))?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ok(address),
        IpAddr::V6(ip) if ip.is_loopback() => Ok(address),
        other => Err(format!("must be a loopback address, not `{other}`: the agent serves this host only")),
    }
}

/// `1048576`, `512MiB`, `1GiB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, factor) = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)))
        .unwrap_or((text, 1));
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("must be a number of bytes as `1073741824` or `1GiB`, not `{text}`"))
}

/// `10s`, `90m`, `12h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("must be a time as `10s`, `90m`, `12h` or `7d`, not `{text}`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).and_then(|digits| digits.parse::<u64>().ok());
    let seconds = number.and_then(|number| number.checked_mul(factor)).filter(|seconds| *seconds > 0);
    // A century is as good as for ever, and no sum with it overflows.
    seconds.filter(|seconds| *seconds < 100 * 365 * 86_400).map(Duration::from_secs).ok_or_else(wrong)
}

/// `0660`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.trim(), 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("must be rights in octal as `0660`, not `{text}`"))
}

/// A number, or the number that a file as `/etc/group` gives a name.
pub(super) fn account(text: &str, file: &Path) -> Result<u32, String> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let accounts = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let number =
        lines.find(|fields| fields.first() == Some(&text)).and_then(|fields| fields.get(2)?.parse().ok());
    number.ok_or_else(|| format!("`{text}` is not in {}", file.display()))
}
