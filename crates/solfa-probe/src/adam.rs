//! Adam (Kingma and Ba 2015), on plain memory: one pass over parameters, gradients and moments.

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// The moments of one group of parameters.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Adam {
    pub(crate) fn new(num_parameters: usize) -> Self {
        Self { first: vec![0.0; num_parameters], second: vec![0.0; num_parameters], steps: 0 }
    }

    /// One step. `weight_decay` adds its share of the parameters to their gradients, as in the paper's L2 penalty.
    ///
    /// # Panics
    /// For another number of parameters or gradients than the moments are for.
    pub(crate) fn step(&mut self, parameters: &mut [f32], gradients: &[f32], learning_rate: f32, weight_decay: f32) {
        assert_eq!(parameters.len(), self.first.len(), "Adam::step: another number of parameters");
        assert_eq!(gradients.len(), self.first.len(), "Adam::step: another number of gradients");
        self.steps += 1;
        let first_correction = 1.0 - FIRST_DECAY.powi(self.steps);
        let second_correction = (1.0 - SECOND_DECAY.powi(self.steps)).sqrt();
        let rate = learning_rate / first_correction;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, gradient), (first, second)) in parameters.iter_mut().zip(gradients).zip(moments) {
            let gradient = gradient + weight_decay * *parameter;
            *first += (1.0 - FIRST_DECAY) * (gradient - *first);
            *second += (1.0 - SECOND_DECAY) * (gradient * gradient - *second);
            *parameter -= rate * *first / (second.sqrt() / second_correction + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.optim.Adam` with its defaults, three steps from 1 and -2 along the gradient of the sum of squares, worked
    /// by the paper's formulas in double precision.
    #[test]
    fn it_is_the_papers() {
        for weight_decay in [0.0_f64, 0.1] {
            let mut found = [1.0_f32, -2.0];
            let mut adam = Adam::new(2);
            let mut expected = [1.0_f64, -2.0];
            let mut moments = [(0.0_f64, 0.0_f64); 2];
            for step in 1..=3 {
                let gradients = found.map(|value| 2.0 * value);
                adam.step(&mut found, &gradients, 0.1, weight_decay as f32);
                for (value, (first, second)) in expected.iter_mut().zip(&mut moments) {
                    let gradient = 2.0 * *value + weight_decay * *value;
                    *first = 0.9 * *first + 0.1 * gradient;
                    *second = 0.999 * *second + 0.001 * gradient * gradient;
                    let unbiased = *first / (1.0 - 0.9_f64.powi(step));
                    let scale = (*second / (1.0 - 0.999_f64.powi(step))).sqrt();
                    *value -= 0.1 * unbiased / (scale + 1e-8);
                }
            }
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} is not {expected}");
            }
        }
    }
}
