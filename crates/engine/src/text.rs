//! Writes and reads numbers as people do.

/// Writes bytes as `1.2 MB`: base 10, one decimal, as Kopia prints them.
pub fn human_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KB", "MB", "GB", "TB", "PB"] {
        if value < 900.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// Writes an instant in nanoseconds since 1970 as RFC 3339 has it.
pub(crate) fn shown_time(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| format!("{ns} ns"), |time| time.to_string())
}

/// Whether `c` is a mark that turns the direction of writing or parts lines. Such marks are no control characters, but
/// they can make a name look like another.
pub fn is_directional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Reads a size such as `80MiB`, `1.5G` or `4096`: bytes, in decimal (`kB`, `MB`, `GB`) or binary units (`KiB`, `M`, …).
///
/// # Errors
/// What is wrong with it, for whoever typed it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("{unit:?} is not a unit of size; take KiB, MiB or GiB")),
    };
    let value: f64 = number.parse().map_err(|_| format!("{text:?} is not a size such as 80MiB"))?;
    let bytes = value * factor as f64;
    if bytes.is_finite() && (0.0..1e18).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err("out of range".into())
    }
}

/// Reads a rate: a [size](parse_size) in a second (`100MB/s`, `50MiB`), or bits (`1Gbit/s`, `100Mbps`); in bytes per second.
///
/// # Errors
/// What is wrong with it, for whoever typed it.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let bits = lower
        .strip_suffix("bps")
        .or_else(|| lower.strip_suffix("bit/s"))
        .or_else(|| lower.strip_suffix("bit"));
    match bits {
        Some(number) => {
            // Everybody means decimal units of bits.
            let decimal = number.trim_end().to_owned() + "b";
            parse_size(&decimal)
                .map(|bits| bits / 8)
                .map_err(|_| format!("{text:?} is not a rate such as 100Mbit/s"))
        }
        None => parse_size(lower.strip_suffix("/s").unwrap_or(&lower)),
    }
}

/// Reads a [rate](parse_rate) at which a link can deliver.
///
/// # Errors
/// What is wrong with it, for whoever typed it.
pub fn parse_link(text: &str) -> Result<u64, String> {
    match parse_rate(text)? {
        0 => Err("nothing would ever come".into()),
        rate => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(human_size(899), "899 B");
        assert_eq!(human_size(1_234_567), "1.2 MB");
        assert_eq!(human_size(u64::MAX), "18446.7 PB");
    }

    #[test]
    fn sizes_and_rates() {
        assert_eq!(parse_size("80MiB"), Ok(80 << 20));
        assert_eq!(parse_size("1.5g"), Ok(3 << 29));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert!(parse_size("many").is_err() && parse_size("5 parsecs").is_err());
        for (text, bytes) in [
            ("100MB/s", 100_000_000),
            ("50MiB", 50 << 20),
            ("1Gbit/s", 125_000_000),
            ("100 Mbps", 12_500_000),
            ("8bit", 1),
        ] {
            assert_eq!(parse_rate(text), Ok(bytes), "{text}");
        }
        assert!(parse_rate("fast").is_err() && parse_rate("/s").is_err() && parse_rate("bit/s").is_err());
    }
}
