//! Curves for the eye: smoothed, and thinned to as many points as a picture can show.

/// Points of a line that is drawn.
const SHOWN: usize = 360;

/// The part of a curve that its smoothed form looks back over.
const WINDOW: f64 = 0.02;

/// An exponential mean that looks back over a fiftieth of the curve. It begins at the first value: weights are those of
/// the values that there are.
pub(in crate::report) fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let window = (WINDOW * points.len() as f64).max(1.0);
    let kept = 1.0 - 1.0 / window;
    let (mut sum, mut weight) = (0.0, 0.0);
    let mean = |&(x, y): &(f64, f64)| {
        (sum, weight) = (kept * sum + y, kept * weight + 1.0);
        (x, sum / weight)
    };
    points.iter().map(mean).collect()
}

/// All points where they are few; else the smallest and the largest of each of equal stretches, in their order, so that no
/// spike is lost.
pub(in crate::report) fn shown(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= SHOWN {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(SHOWN / 2);
    let mut kept = Vec::with_capacity(SHOWN);
    for part in points.chunks(stretch) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = part.iter().min_by(by_value).zip(part.iter().max_by(by_value));
        let Some((&low, &high)) = ends else { continue };
        let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        kept.push(first);
        if second.0 > first.0 {
            kept.push(second);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay_as_they_are() {
        let points: Vec<(f64, f64)> = (0..40).map(|step| (f64::from(step), f64::from(step % 7))).collect();
        assert_eq!((smoothed(&points), shown(&points)), (points.clone(), points));
        assert!(smoothed(&[]).is_empty() && shown(&[]).is_empty());
    }

    #[test]
    fn a_mean_of_the_last_fiftieth() {
        // A window of two: each weight is half of the next one's.
        let points: Vec<(f64, f64)> = (0..100).map(|step| (f64::from(step), f64::from(step))).collect();
        let smoothed = smoothed(&points);
        assert_eq!(smoothed[0], (0.0, 0.0));
        assert!((smoothed[1].1 - 2.0 / 3.0).abs() < 1e-12 && (smoothed[99].1 - 98.0).abs() < 1e-9);
    }

    #[test]
    fn spikes_outlast_the_thinning() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|step| (f64::from(step), 1.0)).collect();
        points[54_321].1 = 9.0;
        points[54_322].1 = -9.0;
        let thin = shown(&points);
        assert!(thin.len() <= SHOWN && thin.contains(&(54_321.0, 9.0)) && thin.contains(&(54_322.0, -9.0)));
        assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
