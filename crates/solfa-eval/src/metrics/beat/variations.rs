//! Other metric levels at which a listener may tap.

/// The reference itself, its off-beats, twice its tempo, and half its tempo from the first and from the second beat.
pub(super) fn metrical_variations(reference: &[f64]) -> [Vec<f64>; 5] {
    let off_beats: Vec<f64> = reference.windows(2).map(|pair| 0.5 * (pair[1] - pair[0]) + pair[0]).collect();
    let mut double = Vec::with_capacity(2 * reference.len());
    for (index, &beat) in reference.iter().enumerate() {
        double.push(beat);
        double.extend(off_beats.get(index));
    }
    let half_from = |first: usize| reference.iter().copied().skip(first).step_by(2).collect();
    [reference.to_vec(), off_beats, double, half_from(0), half_from(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_three_beats_and_of_one() {
        let [same, off, double, odd, even] = metrical_variations(&[1.0, 2.0, 4.0]);
        assert_eq!((same, off), (vec![1.0, 2.0, 4.0], vec![1.5, 3.0]));
        assert_eq!(double, [1.0, 1.5, 2.0, 3.0, 4.0]);
        assert_eq!((odd, even), (vec![1.0, 4.0], vec![2.0]));
        assert_eq!(metrical_variations(&[1.0]), [vec![1.0], vec![], vec![1.0], vec![1.0], vec![]]);
    }
}
