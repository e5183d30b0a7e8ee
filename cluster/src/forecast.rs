//! Foresees when each of many restores is done that share one link (pure).

/// A restore whose time is foreseen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Restore {
    /// Seconds before data flows: opening the repository, choosing the snapshot.
    pub opening: f64,
    /// Number of bytes that come from the storage.
    pub bytes: u64,
    /// Seconds that the rest would take alone.
    pub alone: f64,
}

/// The foreseen times: when each restore begins and ends, in seconds, and when all are done.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The restores in the order in which they begin: the longest first, so that none is waited for at the end.
    pub order: Vec<usize>,
    /// Beginning and end of each restore, by its place in the input.
    pub times: Vec<(f64, f64)>,
    /// Seconds until the last restore is done.
    pub seconds: f64,
}

/// A restore that is under way.
struct Running {
    restore: usize,
    opening: f64,
    /// Seconds that the rest which is left would take alone.
    left: f64,
}

/// Foresees restores of which `at_once` run at the same time, over a link of so many bytes per second that all share.
/// What is left of the link by those that cannot use their part goes to the others.
#[must_use]
pub fn forecast(restores: &[Restore], at_once: usize, link: Option<f64>) -> Forecast {
    let mut order: Vec<usize> = (0..restores.len()).collect();
    let length = |i: usize| restores[i].opening + restores[i].alone;
    order.sort_by(|a, b| length(*b).total_cmp(&length(*a)).then(a.cmp(b)));
    let mut times = vec![(0.0, 0.0); restores.len()];
    let (mut waiting, mut running): (_, Vec<Running>) = (order.iter().copied(), Vec::new());
    let mut now = 0.0;
    loop {
        while running.len() < at_once.max(1)
            && let Some(next) = waiting.next()
        {
            times[next].0 = now;
            let of = &restores[next];
            running.push(Running { restore: next, opening: of.opening, left: of.alone });
        }
        if running.is_empty() {
            return Forecast { order, times, seconds: now };
        }
        let speeds = speeds(restores, &running, link);
        let until = |(one, speed): (&Running, &f64)| match one.opening > 0.0 {
            true => one.opening,
            false => one.left / speed,
        };
        let step = running.iter().zip(&speeds).map(until).fold(f64::MAX, f64::min).max(0.0);
        now += step;
        for (one, speed) in running.iter_mut().zip(&speeds) {
            match one.opening > 0.0 {
                true => one.opening -= step,
                false => one.left -= step * speed,
            }
        }
        // What rounding leaves is done.
        running.retain(|one| {
            let is_going_on = one.opening > 1e-9 || one.left > 1e-9;
            if !is_going_on {
                times[one.restore].1 = now;
            }
            is_going_on
        });
        running.iter_mut().filter(|one| one.opening <= 1e-9).for_each(|one| one.opening = 0.0);
    }
}

/// Returns how fast each restore goes, as a part of how fast it would go alone.
fn speeds(restores: &[Restore], running: &[Running], link: Option<f64>) -> Vec<f64> {
    let demand = |one: &Running| {
        let of = &restores[one.restore];
        if one.opening > 0.0 { 0.0 } else { of.bytes as f64 / of.alone.max(1e-9) }
    };
    let demands: Vec<f64> = running.iter().map(demand).collect();
    let Some(mut link) = link else { return vec![1.0; running.len()] };
    // The most modest first: each takes at most an equal part of what is left.
    let mut by_demand: Vec<usize> = (0..demands.len()).collect();
    by_demand.sort_by(|a, b| demands[*a].total_cmp(&demands[*b]));
    let mut speeds = vec![1.0; running.len()];
    for (place, &i) in by_demand.iter().enumerate() {
        let part = link / (by_demand.len() - place) as f64;
        let taken = demands[i].min(part);
        if demands[i] > 0.0 {
            speeds[i] = (taken / demands[i]).max(1e-6);
        }
        link -= taken;
    }
    speeds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restore(bytes: u64, alone: f64) -> Restore {
        Restore { opening: 1.0, bytes, alone }
    }

    #[test]
    fn a_shared_link_is_what_is_waited_for() {
        let four = [restore(1000, 10.0); 4];
        let all = forecast(&four, 4, None);
        assert!((all.seconds - 11.0).abs() < 1e-6, "{all:?}");
        // Each could take 100 a second, all together 200.
        let shared = forecast(&four, 4, Some(200.0));
        assert!((shared.seconds - 21.0).abs() < 1e-3, "{shared:?}");
        // Two at a time are as fast alone.
        let two = forecast(&four, 2, Some(200.0));
        assert!((two.seconds - 22.0).abs() < 1e-3, "{two:?}");
        assert_eq!(two.times.iter().filter(|(begin, _)| *begin == 0.0).count(), 2);
    }

    #[test]
    fn the_longest_begins_and_small_ones_fill_the_gaps() {
        let all = [restore(10, 1.0), restore(1000, 10.0), restore(20, 2.0)];
        let told = forecast(&all, 2, None);
        assert_eq!(told.order, [1, 2, 0]);
        assert!((told.seconds - 11.0).abs() < 1e-6, "{told:?}");
        assert!((told.times[0].0 - 3.0).abs() < 1e-6, "{told:?}");
    }

    #[test]
    fn what_one_cannot_use_another_gets() {
        // 10 a second, and one that could take 1000.
        let told = forecast(&[restore(100, 10.0), restore(9000, 9.0)], 2, Some(100.0));
        assert!((told.times[0].1 - 11.0).abs() < 1e-3, "{told:?}");
        // 90 a second beside the other for 10 s, then all of it.
        assert!((told.times[1].1 - (1.0 + 10.0 + 8100.0 / 100.0)).abs() < 0.1, "{told:?}");
        assert_eq!(forecast(&[], 3, None).seconds, 0.0);
    }
}
