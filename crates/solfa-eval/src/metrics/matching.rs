//! Which events of two lists can be paired, each with one other.

/// The largest set of pairs `(reference, estimate)` that are at most `window` seconds apart, each event in one pair.
///
/// Both lists ascend. On a line the earliest partner that is left is always as good as any other, so one pass finds the
/// maximum; bipartite matching would find the same number.
pub fn match_events(reference: &[f64], estimate: &[f64], window: f64) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut next = 0;
    for (index, &time) in estimate.iter().enumerate() {
        while next < reference.len() && reference[next] < time - window {
            next += 1;
        }
        if next < reference.len() && reference[next] <= time + window {
            pairs.push((next, index));
            next += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_in_one_pair() {
        assert_eq!(match_events(&[1.0, 2.0], &[1.04, 1.05, 1.98], 0.05), [(0, 0), (1, 2)]);
        assert_eq!(match_events(&[1.0, 1.05], &[0.96, 1.02], 0.05), [(0, 0), (1, 1)]);
    }

    #[test]
    fn the_window_is_closed() {
        assert_eq!(match_events(&[1.0], &[1.5], 0.5), [(0, 0)]);
        assert!(match_events(&[1.0], &[1.500_001], 0.5).is_empty());
    }

    #[test]
    fn an_empty_list_has_no_pair() {
        assert!(match_events(&[], &[1.0], 0.5).is_empty());
        assert!(match_events(&[1.0], &[], 0.5).is_empty());
    }
}
