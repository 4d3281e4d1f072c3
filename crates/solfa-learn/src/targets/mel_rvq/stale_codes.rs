//! Codes that nobody chooses any more get a place where latents are.
//!
//! As the training code of Mel-RVQ does it (Zhu et al. 2025, arXiv:2501.01108; the remedy is that of Jukebox, Dhariwal et
//! al. 2020, arXiv:2005.00341, sec. 3): a code that no latent of so many batches in a row has chosen becomes a latent of
//! the batch, scaled to length 1.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{ResidualVectorQuantizer, ResidualVectorQuantizerConfig, TrainedStage};

/// For how many batches each code has not been chosen. A module, so that checkpoints of a run have it; its numbers have no
/// gradients.
#[derive(Module, Debug)]
pub struct StaleCodes {
    /// `[codebooks, codes]`, whole numbers
    unused_batches: Param<Tensor<2>>,
}

/// What a batch did to the codebooks, one entry for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeReplacement {
    /// How often each code of each codebook was chosen.
    pub counts: Vec<Vec<u64>>,
    /// The numbers of the codes that were replaced, in order.
    pub replaced: Vec<Vec<usize>>,
}

impl StaleCodes {
    /// Nothing was left out yet.
    pub fn new(config: &ResidualVectorQuantizerConfig, device: &Device) -> Self {
        let zeros: Tensor<2> = Tensor::zeros([config.num_codebooks, config.num_codes], device);
        Self { unused_batches: Param::from_tensor(zeros).set_require_grad(false) }
    }

    /// Counts what a batch of training has chosen, and replaces the codes that were left out for `tolerance` batches in a
    /// row (100 in Mel-RVQ; a code is never replaced in a batch that uses it). Call it once for every step, after the
    /// optimiser: codes keep their parameter, and the moments of its gradient.
    ///
    /// Every code that is replaced takes another latent, as far as there are as many; a latent that is not finite is never
    /// taken. `unit` draws uniformly within 0 to 1, 1 excluded; it is called as often as codes are replaced.
    ///
    /// # Panics
    /// If `stages` are not those of this quantiser.
    #[must_use]
    pub fn replace(
        self,
        mut quantizer: ResidualVectorQuantizer,
        stages: &[TrainedStage],
        tolerance: u32,
        mut unit: impl FnMut() -> f64,
    ) -> (Self, ResidualVectorQuantizer, CodeReplacement) {
        let [codebooks, num_codes] = self.unused_batches.val().dims();
        assert_eq!((stages.len(), quantizer.stages.len()), (codebooks, codebooks), "stages of the quantiser");
        let mut unused: Vec<f32> = self.unused_batches.val().inner().into_data().iter::<f32>().collect();
        let mut outcome = CodeReplacement { counts: Vec::new(), replaced: Vec::new() };
        for ((stage, used), unused) in
            quantizer.stages.iter_mut().zip(stages).zip(unused.chunks_exact_mut(num_codes.max(1)))
        {
            let counts = counts(used.numbers.clone(), num_codes);
            let mut stale = Vec::new();
            for (code, (&count, unused)) in counts.iter().zip(unused.iter_mut()).enumerate() {
                *unused = if count > 0 { 0.0 } else { *unused + 1.0 };
                if count == 0 && f64::from(*unused) >= f64::from(tolerance) {
                    stale.push(code);
                }
            }
            if !stale.is_empty() {
                let directions = directions(used.latents.clone());
                if directions.is_empty() {
                    stale.clear();
                } else {
                    let chosen = draw(stale.len(), directions.len(), &mut unit);
                    stage.codebook.weight = replace_rows(stage.codebook.weight.clone(), &stale, |row, values| {
                        values.copy_from_slice(&directions[chosen[row]]);
                    });
                    stale.iter().for_each(|&code| unused[code] = 0.0);
                }
            }
            outcome.counts.push(counts);
            outcome.replaced.push(stale);
        }
        let unused_batches = with_values(self.unused_batches, unused);
        (Self { unused_batches }, quantizer, outcome)
    }
}

/// How often each code occurs.
fn counts(numbers: Tensor<2, Int>, num_codes: usize) -> Vec<u64> {
    let mut counts = vec![0; num_codes];
    for number in numbers.into_data().iter::<i64>() {
        if let Some(count) = usize::try_from(number).ok().and_then(|number| counts.get_mut(number)) {
            *count += 1;
        }
    }
    counts
}

/// The latents that have a direction, each scaled to length 1.
fn directions(latents: Tensor<3>) -> Vec<Vec<f32>> {
    let [_, _, width] = latents.dims();
    let values: Vec<f32> = latents.inner().into_data().iter::<f32>().collect();
    let direction = |latent: &[f32]| {
        let length = latent.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        let is_usable = length.is_finite() && length > 0.0;
        is_usable.then(|| latent.iter().map(|&value| (f64::from(value) / length) as f32).collect())
    };
    values.chunks_exact(width.max(1)).filter_map(direction).collect()
}

/// `count` numbers below `total`, which is not 0: all different, as far as there are as many.
fn draw(count: usize, total: usize, unit: &mut impl FnMut() -> f64) -> Vec<usize> {
    let mut items: Vec<usize> = (0..total).collect();
    (0..count)
        .map(|place| {
            let place = place % total;
            let left = total - place;
            items.swap(place, place + ((unit() * left as f64) as usize).min(left - 1));
            items[place]
        })
        .collect()
}

/// A codebook with some of its rows changed: `change` is given the place in `rows`, and the row.
fn replace_rows(codebook: Param<Tensor<2>>, rows: &[usize], change: impl Fn(usize, &mut [f32])) -> Param<Tensor<2>> {
    let [_, width] = codebook.val().dims();
    let mut values: Vec<f32> = codebook.val().inner().into_data().iter::<f32>().collect();
    for (place, &row) in rows.iter().enumerate() {
        change(place, &mut values[row * width..(row + 1) * width]);
    }
    with_values(codebook, values)
}

/// The same parameter with other values: it keeps its id, and needs gradients if it did.
fn with_values(parameter: Param<Tensor<2>>, values: Vec<f32>) -> Param<Tensor<2>> {
    parameter.map(|tensor| {
        let needs_gradient = tensor.is_require_grad();
        let checkpointing = tensor.gradient_checkpointing_strategy();
        let plain = tensor.inner();
        let changed = Tensor::from_data(TensorData::new(values, plain.dims()), &plain.device());
        match checkpointing {
            None => changed,
            Some(strategy) => {
                changed.autodiff().with_gradient_checkpointing_strategy(strategy).set_require_grad(needs_gradient)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{NamedTensor, TensorSource, module_tensors, restore_module, stage_tensors};
    use crate::device::test_device;
    use crate::train::{Adam, AdamConfig, Rates};

    const CONFIG: ResidualVectorQuantizerConfig =
        ResidualVectorQuantizerConfig { input_dim: 3, num_codebooks: 2, num_codes: 4, code_dim: 2 };

    /// A stage that chose `numbers` for `latents`.
    fn stage(latents: &[[f32; 2]], numbers: &[i64], device: &Device) -> TrainedStage {
        let count = latents.len();
        let latents = latents.as_flattened().to_vec();
        let latents: Tensor<3> = Tensor::from_data(TensorData::new(latents, [1, count, 2]), device);
        TrainedStage {
            codes: latents.zeros_like(),
            latents,
            numbers: Tensor::from_data(TensorData::new(numbers.to_vec(), [1, count]), device),
        }
    }

    fn codebook(quantizer: &ResidualVectorQuantizer, stage: usize) -> Vec<f32> {
        quantizer.stages[stage].codebook.weight.val().inner().into_data().try_to_vec().unwrap()
    }

    fn unused(stale: &StaleCodes) -> Vec<f32> {
        stale.unused_batches.val().inner().into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_code_is_replaced_when_it_was_left_out_for_the_tolerance_and_no_sooner() {
        let device = test_device().autodiff();
        let mut quantizer = ResidualVectorQuantizer::new(&CONFIG, &device);
        let mut stale = StaleCodes::new(&CONFIG, &device);
        let ids = [0, 1].map(|stage: usize| quantizer.stages[stage].codebook.weight.id);
        let before = [codebook(&quantizer, 0), codebook(&quantizer, 1)];
        let all = stage(&[[3.0, 4.0], [1.0, 0.0], [0.0, -2.0], [-1.0, 0.0]], &[0, 1, 2, 3], &device);
        // In the first codebook, 1 and 3 are never chosen; 2 is in the second batch.
        let first = stage(&[[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]], &[0, 0, 0], &device);
        let second = stage(&[[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]], &[0, 2, 0], &device);
        let mut replaced = Vec::new();
        for used in [&first, &second, &first] {
            let outcome;
            (stale, quantizer, outcome) = stale.replace(quantizer, &[used.clone(), all.clone()], 3, || 0.4);
            replaced.push(outcome.replaced);
            assert_eq!(outcome.counts[1], [1, 1, 1, 1]);
        }
        assert_eq!(replaced, [vec![vec![], vec![]], vec![vec![], vec![]], vec![vec![1, 3], vec![]]]);
        let after = codebook(&quantizer, 0);
        assert_eq!(after[2..4], [0.6, 0.8]);
        assert_eq!(after[6..8], [0.6, 0.8]);
        assert_eq!((&after[..2], &after[4..6]), (&before[0][..2], &before[0][4..6]));
        assert_eq!(codebook(&quantizer, 1), before[1]);
        assert_eq!(unused(&stale), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!([0, 1].map(|stage: usize| quantizer.stages[stage].codebook.weight.id), ids);
        assert!(quantizer.stages[0].codebook.weight.val().is_require_grad());
        assert!(!stale.unused_batches.val().is_require_grad());
    }

    #[test]
    fn latents_are_drawn_each_once_while_there_are_some_and_never_damaged_ones() {
        let device = test_device();
        let config = ResidualVectorQuantizerConfig { num_codebooks: 1, num_codes: 6, ..CONFIG };
        let quantizer = ResidualVectorQuantizer::new(&config, &device);
        let latents = [[2.0, 0.0], [f32::NAN, 1.0], [0.0, 3.0], [0.0, 0.0], [-1.0, 0.0]];
        let used = [stage(&latents, &[0, 0, 0, 0, 0], &device)];
        let mut draws = [0.9, 0.0, 0.999, 0.1, 0.5].into_iter();
        let (_, quantizer, outcome) =
            StaleCodes::new(&config, &device).replace(quantizer, &used, 1, || draws.next().unwrap());
        assert_eq!(outcome.replaced, [[1, 2, 3, 4, 5]]);
        let rows = codebook(&quantizer, 0);
        // Three usable latents: the first three draws take each of them once.
        let mut taken: Vec<[i32; 2]> = rows[2..8].chunks(2).map(|row| [row[0] as i32, row[1] as i32]).collect();
        taken.sort_unstable();
        assert_eq!(taken, [[-1, 0], [0, 1], [1, 0]]);
        assert!(rows.iter().all(|value| value.is_finite()));

        let before = codebook(&quantizer, 0);
        let none = [stage(&[[f32::NAN, 0.0]], &[0], &device)];
        let (stale, quantizer, outcome) = StaleCodes::new(&config, &device).replace(quantizer, &none, 1, || 0.0);
        assert_eq!((outcome.replaced.concat().len(), codebook(&quantizer, 0)), (0, before));
        assert_eq!(unused(&stale)[1], 1.0, "the next batch may have something to take");
    }

    #[test]
    fn counts_come_back_from_a_checkpoint() {
        let device = test_device().autodiff();
        let quantizer = ResidualVectorQuantizer::new(&CONFIG, &device);
        let used = [stage(&[[1.0, 0.0]], &[2], &device), stage(&[[1.0, 0.0]], &[0], &device)];
        let (stale, _, _) = StaleCodes::new(&CONFIG, &device).replace(quantizer, &used, 100, || 0.0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensors: Vec<NamedTensor<'_>> = module_tensors(&stale, "stale");
        stage_tensors(path.clone(), tensors).unwrap().0.commit().unwrap();
        let source = TensorSource::open_safetensors(&[path]).unwrap();
        let restored = restore_module(StaleCodes::new(&CONFIG, &device), "stale", &source).unwrap();
        assert_eq!(unused(&restored), [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
        assert!(!restored.unused_batches.val().is_require_grad());
    }

    #[test]
    fn training_goes_on_after_a_replacement() {
        #[derive(Module, Debug)]
        struct Both {
            quantizer: ResidualVectorQuantizer,
            stale: StaleCodes,
        }
        let device = test_device().autodiff();
        let mut both = Both {
            quantizer: ResidualVectorQuantizer::new(&CONFIG, &device),
            stale: StaleCodes::new(&CONFIG, &device),
        };
        let mut adam = Adam::new(AdamConfig::default(), &both).unwrap();
        let rates = Rates { learning_rate: 0.01, weight_decay: None };
        for step in 0..3 {
            let input: Tensor<3> = Tensor::from_floats([[[1.0, 0.2, -0.3], [0.9, 0.1, -0.2]]], &device);
            let trained = both.quantizer.train_forward(input);
            let codes: Vec<f32> = codebook(&both.quantizer, 0);
            let loss = trained.stages.iter().fold(trained.reconstruction.abs().mean(), |loss, stage| {
                loss + (stage.codes.clone() - stage.latents.clone()).square().mean()
            });
            let mut gradients = loss.backward();
            adam.accumulate(&both, &mut gradients);
            both = adam.step(both, rates).0;
            assert_ne!(codebook(&both.quantizer, 0), codes, "step {step}: the codes learn");
            let (stale, quantizer, outcome) = both.stale.replace(both.quantizer, &trained.stages, 1, || 0.0);
            assert!(!outcome.replaced[0].is_empty());
            both = Both { quantizer, stale };
        }
    }
}
