//! Makes what the operator makes of names and quantities (contract §4.3).

use serde_json::Value;

/// Returns letters, digits, `-` and `_` of a name, at most 50.
pub(super) fn username(name: &str) -> String {
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let kept: String = kept.trim_matches(['-', '_']).chars().take(50).collect();
    if kept.is_empty() { "volsync-default".into() } else { kept }
}

/// Returns letters, digits, `-` and `.` of a namespace; of the name where nothing is left.
pub(super) fn hostname(namespace: &str, name: &str) -> String {
    let tidy = |text: &str| {
        let text = text.replace('_', "-");
        let kept: String =
            text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
        kept.trim_matches(['-', '.']).to_owned()
    };
    let candidates = [tidy(namespace), tidy(name)];
    candidates.into_iter().find(|host| !host.is_empty()).unwrap_or_else(|| "volsync-default".into())
}

/// Returns the bytes of a quantity of Kubernetes, such as `5Gi`, `1.5G` or `1e9`.
pub(super) fn quantity(value: &Value) -> Option<u64> {
    const UNITS: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("m", 1e-3),
        ("", 1.0),
    ];
    if let Some(bytes) = value.as_u64() {
        return Some(bytes);
    }
    let text = value.as_str()?.trim();
    let (number, scale) = UNITS.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)))?;
    let bytes = number.parse::<f64>().ok()? * scale;
    // The operator rounds up what is no whole number of bytes.
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes.ceil() as u64)
}
