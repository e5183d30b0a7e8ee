//! What stands for a scenario of the contract.

/// Its number, and what shows that it holds.
pub(crate) type Case = (&'static str, How);

pub(crate) enum How {
    /// A run of the built program that sets up what the scenario names.
    Run(fn()),
    /// Why there is none here.
    Reason(&'static str),
}

pub(crate) const fn run(case: fn()) -> How {
    How::Run(case)
}

/// Runs them all, and fails with everything that failed.
#[track_caller]
pub(crate) fn check(cases: &[Case]) {
    let mut failed = Vec::new();
    for (id, how) in cases {
        if let How::Run(case) = how
            && let Err(e) = std::panic::catch_unwind(case)
        {
            let text = e.downcast_ref::<String>().cloned();
            let text = text.or_else(|| e.downcast_ref::<&str>().map(|t| (*t).to_owned()));
            failed.push(format!("{id}: {}", text.unwrap_or_default()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
