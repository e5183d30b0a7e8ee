//! What stands for a scenario of the contract.

/// A scenario's number, and a run of the built program that sets up what it names.
pub(crate) type Case = (&'static str, fn());

pub(crate) const fn run(case: fn()) -> fn() {
    case
}

/// Runs them all, and fails with everything that failed.
#[track_caller]
pub(crate) fn check(cases: &[Case]) {
    let mut failed = Vec::new();
    for (id, case) in cases {
        if let Err(e) = std::panic::catch_unwind(case) {
            let text = e.downcast_ref::<String>().cloned();
            let text = text.or_else(|| e.downcast_ref::<&str>().map(|t| (*t).to_owned()));
            failed.push(format!("{id}: {}", text.unwrap_or_default()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
