//! Writes and reads words and figures of findings.

use jiff::Timestamp;

/// Writes an age for people: `12 s`, `5 min`, `3 h`, `2 d`.
#[must_use]
pub fn age(now: Timestamp, since: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Reads the bytes of a Kubernetes quantity: `1Gi`, `500M`, `1e9`, `1073741824`. None where it is none.
///
/// Source: apimachinery's grammar of quantities; a fraction of a byte counts as a whole one.
#[must_use]
pub fn bytes_of(quantity: &str) -> Option<u128> {
    let end = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 18 || whole.len() > 18 {
        return None;
    }
    let scaled: u128 = format!("{whole}{fraction}").parse().ok()?;
    let places = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let unit = unit(suffix)?;
    Some(scaled.checked_mul(unit.0)?.div_ceil(places.checked_mul(unit.1)?))
}

/// Returns a suffix as a fraction of numbers.
fn unit(suffix: &str) -> Option<(u128, u128)> {
    let binary = |power: u32| Some((1u128 << (10 * power), 1));
    let decimal = |power: u32| Some((10u128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => decimal(exponent.strip_prefix(['e', 'E'])?.parse().ok().filter(|power| *power <= 18)?),
    }
}

/// Whether two programs only wrote an object at the same moment: usual, and tried again at once.
pub(super) fn is_conflict(text: &str) -> bool {
    text.contains("the object has been modified")
}

/// Returns what stands between a text's first quotes.
pub(super) fn quoted(text: &str) -> Option<&str> {
    text.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_bytes() {
        let known = [
            ("1Gi", 1 << 30),
            ("500M", 500_000_000),
            ("1e3", 1000),
            ("1.5Ki", 1536),
            ("0.5", 1),
            ("100m", 1),
            ("7", 7),
        ];
        for (text, bytes) in known {
            assert_eq!(bytes_of(text), Some(bytes), "{text}");
        }
        for text in ["", "Gi", "1Zi", "-1", "1e99", "1.1.1", "x"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }

    #[test]
    fn ages_are_short() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let texts = [5, 119, 120, 7199, 7200, 200_000, -5].map(|seconds| age(at(seconds), at(0)));
        assert_eq!(texts, ["5 s", "119 s", "2 min", "119 min", "2 h", "2 d", "0 s"]);
    }
}
