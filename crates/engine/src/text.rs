//! Numbers as people read them.

/// `1.2 MB`: base 10, one decimal, as Kopia prints them.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(human_size(899), "899 B");
        assert_eq!(human_size(1_234_567), "1.2 MB");
        assert_eq!(human_size(u64::MAX), "18446.7 PB");
    }
}
