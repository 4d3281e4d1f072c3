//! Training one head: epochs of shuffled batches, the learning rate lowered on a plateau, an early stop, and the best
//! epoch's parameters restored.

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::adam::Adam;
use crate::head::{Head, Parameters, tensor};
use crate::items::{Features, TargetBlock, Targets};
use crate::loss::loss;

/// How a head is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Items of one step.
    pub batch_size: usize,
    /// Adam's step size at the start.
    pub learning_rate: f64,
    /// L2 penalty, added to the gradients.
    pub weight_decay: f64,
    /// Epochs at most.
    pub max_epochs: u32,
    /// Epochs without a better validation score after which training ends.
    pub stop_patience: u32,
    /// How the learning rate falls when validation does not rise; `None` keeps it.
    pub plateau: Option<Plateau>,
    /// Whether the last epoch's parameters are used, and not the best one's. No one should want this; a published code
    /// base does it.
    pub keeps_last_epoch: bool,
}

/// When the learning rate falls, and by how much (PyTorch's `ReduceLROnPlateau` with a relative threshold of 1e-4).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// What the learning rate is multiplied by.
    pub factor: f64,
    /// Epochs without a better score that are let pass.
    pub patience: u32,
}

/// A trained head.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Its parameters.
    pub parameters: Parameters,
    /// The epoch that they are of, from 1; 0 where nothing was learned by epochs.
    pub epoch: u32,
    /// The validation score of that epoch.
    pub validation: f64,
}

/// Why a training gave nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// There is nothing to learn from.
    #[error("there are no items to learn from")]
    Empty,
    /// A class that has no example cannot have a mean.
    #[error("class means need classes as targets")]
    NotClasses,
    /// The loss became NaN or infinite in the first epoch, or parameters did.
    #[error("training diverged in epoch {epoch} at learning rate {learning_rate}")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// The learning rate.
        learning_rate: f64,
    },
}

/// Trains a head on `features` and `blocks`. After every epoch `validate` scores its parameters: the higher the better.
///
/// The seed decides initial parameters, order of items and dropout; the same seed gives the same bits.
///
/// # Errors
/// [`TrainError`] where there is nothing to learn from, or where no epoch gave finite numbers.
pub fn train(
    head: &Head,
    features: &Features,
    blocks: &[TargetBlock],
    training: &Training,
    seed: u64,
    mut validate: impl FnMut(&Parameters) -> f64,
) -> Result<Trained, TrainError> {
    if features.num_items == 0 {
        return Err(TrainError::Empty);
    }
    let device = Device::flex().autodiff();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let initial = head.initial(&mut random);
    let mut optimizers: Vec<Adam> = initial.iter().map(|values| Adam::new(values.len())).collect();
    let mut data: Vec<TensorData> =
        initial.into_iter().zip(head.shapes()).map(|(values, shape)| TensorData::new(values, shape)).collect();
    let mut order: Vec<usize> = (0..features.num_items).collect();
    let mut course = Course::new(training);
    for epoch in 1..=training.max_epochs.max(1) {
        order.shuffle(&mut random);
        for batch in order.chunks(training.batch_size.max(1)) {
            let leaves: Vec<Tensor<2>> =
                data.drain(..).map(|data| Tensor::from_data(data, &device).require_grad()).collect();
            let input = tensor(features.gather(batch), [batch.len(), head.num_inputs()], &device);
            let dropped = head.dropout().map(|(hidden, share)| {
                tensor(dropout_factors(batch.len() * hidden, share, &mut random), [batch.len(), hidden], &device)
            });
            let outputs = head.forward(&leaves, input, dropped);
            let mut gradients = loss(outputs, blocks, batch, &device).backward();
            for (leaf, optimizer) in leaves.into_iter().zip(&mut optimizers) {
                let gradient = leaf.grad_remove(&mut gradients).map(Tensor::into_data);
                // The memory goes from tensor to optimizer and back: nothing is copied.
                let mut values = leaf.inner().into_data();
                if let Some(gradient) = gradient {
                    let rate = course.learning_rate() as f32;
                    optimizer.step(plain_mut(&mut values), plain(&gradient), rate, training.weight_decay as f32);
                }
                data.push(values);
            }
        }
        let parameters: Parameters = data.iter().map(|data| plain(data).to_vec()).collect();
        if parameters.iter().flatten().any(|value| !value.is_finite()) {
            return course.diverged(epoch);
        }
        let validation = validate(&parameters);
        if course.epoch_ended(epoch, parameters, validation) == Next::Stop {
            break;
        }
    }
    course.finish()
}

/// Whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// With another epoch.
    Epoch,
    /// It ends.
    Stop,
}

/// Where a training stands after each epoch: the best parameters so far, the learning rate, and how long it has been since
/// validation rose.
pub(crate) struct Course<'run> {
    training: &'run Training,
    learning_rate: f64,
    best: Option<Trained>,
    since_best: u32,
    plateau_best: f64,
    since_plateau: u32,
}

impl<'run> Course<'run> {
    pub(crate) fn new(training: &'run Training) -> Self {
        Self {
            training,
            learning_rate: training.learning_rate,
            best: None,
            since_best: 0,
            plateau_best: f64::NEG_INFINITY,
            since_plateau: 0,
        }
    }

    /// Adam's step size for the next epoch.
    pub(crate) fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Takes an epoch's parameters and their validation score.
    pub(crate) fn epoch_ended(&mut self, epoch: u32, parameters: Parameters, validation: f64) -> Next {
        let is_better = self.best.as_ref().is_none_or(|best| validation > best.validation);
        if is_better || self.training.keeps_last_epoch {
            self.since_best = if is_better { 0 } else { self.since_best + 1 };
            let score = match &self.best {
                Some(best) if self.training.keeps_last_epoch => best.validation.max(validation),
                _ => validation,
            };
            self.best = Some(Trained { parameters, epoch, validation: score });
        } else {
            self.since_best += 1;
        }
        if self.since_best >= self.training.stop_patience {
            return Next::Stop;
        }
        if let Some(plateau) = self.training.plateau {
            let enough = self.plateau_best + RELATIVE_THRESHOLD * self.plateau_best.abs();
            if validation > enough || self.plateau_best.is_infinite() {
                (self.plateau_best, self.since_plateau) = (validation, 0);
            } else {
                self.since_plateau += 1;
                if self.since_plateau > plateau.patience {
                    self.learning_rate *= plateau.factor;
                    self.since_plateau = 0;
                }
            }
        }
        Next::Epoch
    }

    /// What is left of a training whose parameters are no longer finite: its best epoch.
    pub(crate) fn diverged(self, epoch: u32) -> Result<Trained, TrainError> {
        self.best.ok_or(TrainError::Diverged { epoch, learning_rate: self.training.learning_rate })
    }

    /// What was best.
    pub(crate) fn finish(self) -> Result<Trained, TrainError> {
        self.best.ok_or(TrainError::Empty)
    }
}

/// The numbers of a tensor's memory.
#[allow(clippy::expect_used, reason = "every tensor here is made of f32 on the processor")]
pub(crate) fn plain(data: &TensorData) -> &[f32] {
    data.as_slice().expect("numbers in single precision")
}

/// The same, to be changed.
#[allow(clippy::expect_used, reason = "every tensor here is made of f32 on the processor")]
fn plain_mut(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().expect("numbers in single precision")
}

/// A score counts as better for the learning rate when it is better by this share.
const RELATIVE_THRESHOLD: f64 = 1e-4;

/// What hidden units are multiplied by in training: 0, or what keeps their mean.
pub(crate) fn dropout_factors(count: usize, share: f32, random: &mut ChaCha8Rng) -> Vec<f32> {
    let threshold = (share * f32::from(u16::MAX)) as u16;
    let kept = 1.0 / (1.0 - share);
    (0..count).map(|_| if random.random::<u16>() < threshold { 0.0 } else { kept }).collect()
}

/// The mean of each class: what [`HeadKind::ClassMean`](crate::head::HeadKind::ClassMean) has instead of training. A class
/// without an example is as far away as can be.
///
/// # Errors
/// [`TrainError`] where there are no items, or targets are not classes.
pub fn class_means(
    head: &Head,
    features: &Features,
    blocks: &[TargetBlock],
    validate: impl FnOnce(&Parameters) -> f64,
) -> Result<Trained, TrainError> {
    /// Further from everything than anything that is finite in single precision after squaring.
    const FAR_AWAY: f32 = 1e15;
    let [TargetBlock { targets: Targets::Classes { num_classes, classes }, .. }] = blocks else {
        return Err(TrainError::NotClasses);
    };
    if features.num_items == 0 {
        return Err(TrainError::Empty);
    }
    let width = features.width();
    let mut sums = vec![0.0_f64; num_classes * width];
    let mut counts = vec![0_u64; *num_classes];
    for (item, &class) in classes.iter().enumerate().take(features.num_items) {
        let Ok(class) = usize::try_from(class) else { continue };
        counts[class] += 1;
        let sum = &mut sums[class * width..(class + 1) * width];
        for (sum, value) in sum.iter_mut().zip(features.gather(&[item])) {
            *sum += f64::from(value);
        }
    }
    let mean = |(index, sum): (usize, f64)| match counts[index / width] {
        0 => FAR_AWAY,
        count => (sum / count as f64) as f32,
    };
    let parameters = vec![sums.into_iter().enumerate().map(mean).collect()];
    let validation = validate(&parameters);
    debug_assert_eq!(head.num_parameters(), num_classes * width);
    Ok(Trained { parameters, epoch: 0, validation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HeadKind;
    use crate::items::LayerFeatures;
    use crate::mix::LayerPolicy;

    fn training() -> Training {
        Training {
            batch_size: 16,
            learning_rate: 1e-2,
            weight_decay: 0.0,
            max_epochs: 60,
            stop_patience: 60,
            plateau: None,
            keeps_last_epoch: false,
        }
    }

    /// Two layers: the first is noise, the second says the class by two dimensions that only a bend can part (XOR).
    fn exclusive_or(count: usize, seed: u64) -> (Features, Vec<TargetBlock>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut noise, mut signal, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (x, y) = (random.random_range(-1.0..1.0_f32), random.random_range(-1.0..1.0_f32));
            signal.extend([x, y]);
            noise.extend([random.random_range(-1.0..1.0_f32), random.random_range(-1.0..1.0_f32)]);
            classes.push(i32::from((x > 0.0) != (y > 0.0)));
        }
        let layers =
            vec![LayerFeatures { number: 0, dim: 2, data: noise }, LayerFeatures { number: 1, dim: 2, data: signal }];
        let targets = Targets::Classes { num_classes: 2, classes };
        (Features { num_items: count, layers }, vec![TargetBlock { targets, weight: 1.0 }])
    }

    fn accuracy(head: &Head, parameters: &Parameters, features: &Features, blocks: &[TargetBlock]) -> f64 {
        let Targets::Classes { classes, .. } = &blocks[0].targets else { panic!("classes") };
        let outputs = head.predict(parameters, features);
        let right = outputs.chunks(2).zip(classes).filter(|(pair, class)| i32::from(pair[1] > pair[0]) == **class);
        right.count() as f64 / classes.len() as f64
    }

    fn fit(policy: LayerPolicy, kind: HeadKind, layer: Option<usize>) -> (f64, Head, Trained) {
        let choose = |features: Features| layer.map_or(features.clone(), |layer| features.layer(layer));
        let (features, blocks) = exclusive_or(400, 1);
        let (unseen, unseen_blocks) = exclusive_or(200, 2);
        let (features, unseen) = (choose(features), choose(unseen));
        let dims: Vec<usize> = features.layers.iter().map(|layer| layer.dim).collect();
        let head = Head::new(policy, kind, &dims, 2).unwrap();
        let validate = |parameters: &Parameters| accuracy(&head, parameters, &unseen, &unseen_blocks);
        let trained = train(&head, &features, &blocks, &training(), 7, validate).unwrap();
        (accuracy(&head, &trained.parameters, &unseen, &unseen_blocks), head, trained)
    }

    const MLP: HeadKind = HeadKind::Mlp { hidden: 32, dropout: 0.2 };

    #[test]
    fn a_hidden_layer_learns_what_a_line_cannot() {
        let (with_bend, _, trained) = fit(LayerPolicy::Single, MLP, Some(1));
        assert!(with_bend > 0.93, "{with_bend}");
        assert!((trained.validation - with_bend).abs() < 1e-12, "the best epoch is what is given back");
        let (without, ..) = fit(LayerPolicy::Single, HeadKind::Linear, Some(1));
        assert!(without < 0.75, "{without}");
        let (noise, ..) = fit(LayerPolicy::Single, MLP, Some(0));
        assert!(noise < 0.65, "{noise}");
    }

    #[test]
    fn learned_weights_find_the_layer_that_knows() {
        let (score, head, trained) = fit(LayerPolicy::Weighted, MLP, None);
        assert!(score > 0.9, "{score}");
        let weights = head.layer_weights(&trained.parameters).unwrap();
        assert!(weights[1] > 0.6, "{weights:?}");
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(fit(LayerPolicy::Concatenated, MLP, None).0 > 0.9);
        assert!(fit(LayerPolicy::Reduced, MLP, None).0 > 0.8);
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
        let (features, blocks) = exclusive_or(100, 1);
        let head = Head::new(LayerPolicy::Weighted, MLP, &[2, 2], 2).unwrap();
        let run = |seed| train(&head, &features, &blocks, &training(), seed, |_| 0.0).unwrap();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).parameters, run(2).parameters);
    }

    #[test]
    fn training_stops_when_validation_does_not_rise() {
        let (features, blocks) = exclusive_or(40, 1);
        let head = Head::new(LayerPolicy::Single, HeadKind::Linear, &[2], 2).unwrap();
        let training = Training { stop_patience: 3, ..training() };
        let mut scores = [0.1, 0.5, 0.4, 0.5, 0.3, 0.9].into_iter();
        let mut seen = 0;
        let trained = train(&head, &features.layer(0), &blocks, &training, 1, |_| {
            seen += 1;
            scores.next().unwrap()
        })
        .unwrap();
        assert_eq!((trained.epoch, trained.validation, seen), (2, 0.5, 5), "an equal score is not a better one");
        let last = Training { keeps_last_epoch: true, ..training };
        let mut scores = [0.1, 0.5, 0.4, 0.5, 0.3, 0.9].into_iter();
        let trained = train(&head, &features.layer(0), &blocks, &last, 1, |_| scores.next().unwrap()).unwrap();
        assert_eq!(trained.epoch, 5);
    }

    #[test]
    fn a_learning_rate_that_breaks_training_is_an_error() {
        let (features, blocks) = exclusive_or(40, 1);
        let targets = Targets::Numbers { width: 2, values: vec![f32::MAX; 80] };
        let head = Head::new(LayerPolicy::Single, HeadKind::Linear, &[2], 2).unwrap();
        let broken = [TargetBlock { targets, weight: 1.0 }];
        let error = train(&head, &features.layer(0), &broken, &training(), 1, |_| 0.0).unwrap_err();
        assert!(error.to_string().contains("0.01"), "{error}");
        assert_eq!(train(&head, &Features::default(), &blocks, &training(), 1, |_| 0.0), Err(TrainError::Empty));
    }

    #[test]
    fn class_means_are_means() {
        let features =
            Features { num_items: 3, layers: vec![LayerFeatures { number: 0, dim: 1, data: vec![1.0, 3.0, 8.0] }] };
        let blocks =
            [TargetBlock { targets: Targets::Classes { num_classes: 3, classes: vec![0, 0, 2] }, weight: 1.0 }];
        let head = Head::new(LayerPolicy::Single, HeadKind::ClassMean, &[1], 3).unwrap();
        let trained = class_means(&head, &features, &blocks, |_| 0.0).unwrap();
        assert_eq!((trained.parameters[0][0], trained.parameters[0][2]), (2.0, 8.0));
        let outputs = head.predict(&trained.parameters, &features);
        for (row, class) in outputs.chunks(3).zip([0, 0, 2]) {
            let best = (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            assert_eq!(best, class, "{row:?}");
        }
    }
}
