//! Adam (Kingma and Ba 2015, arXiv:1412.6980) and AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) over the parameters
//! of a module, with gradients of several batches summed, and their common norm clipped.
//!
//! The arithmetic is `torch.optim`'s: the square root of the second moment is corrected for its start at zero before
//! epsilon is added (fairseq's own Adam adds epsilon first), and a parameter that has had no gradient yet has had no step.
//!
//! On the processor one pass over plain memory updates a parameter, on all threads, and nothing is copied: the memory goes
//! from tensor to optimiser and back. On other devices the same is done with tensors, in single precision whatever the
//! parameters are.

use burn::module::Module;
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::parameters::{FloatMapper, FloatVisitor, map_floats, visit_floats};
use crate::checkpoint::{CheckpointError, Mismatch, NamedTensor, TensorSource, TensorValues};
use crate::device::is_cpu_without_autodiff;

/// Values that one thread works on at a time: four arrays of this many fit into the cache of a core.
const CHUNK_VALUES: usize = 1 << 15;

/// What PyTorch's `clip_grad_norm_` adds to the norm that it divides by.
const CLIP_EPSILON: f64 = 1e-6;

/// How parameters are updated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Share of the old first and second moment that is kept at each step.
    pub betas: [f64; 2],
    /// Added to what is divided by.
    pub epsilon: f64,
    /// How much parameters shrink; a schedule may say another number at each step ([`Rates`]).
    pub weight_decay: f64,
    /// Where weight decay goes in.
    pub weight_decay_kind: WeightDecayKind,
    /// Whether all parameters decay, as in fairseq and by PyTorch's defaults. Otherwise biases, and scales and shifts of
    /// norms, do not, and nothing else of one dimension.
    pub decays_all: bool,
    /// The largest norm of all gradients together; larger ones are scaled down to it. None leaves them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Parameters with rates of their own. The first group that a parameter is in counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

/// Where weight decay goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightDecayKind {
    /// Into the gradients, and so into the moments: Adam with an L2 penalty, `torch.optim.Adam`.
    L2,
    /// Past the moments, times the learning rate: AdamW, `torch.optim.AdamW`, and fairseq's `adam`.
    Decoupled,
}

/// Parameters with rates of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// Part of a parameter's path, in whole segments: `encoder.layers.0`, or `norm` wherever it stands.
    pub path: String,
    /// What the learning rate is multiplied by.
    #[serde(default = "one")]
    pub learning_rate_factor: f64,
    /// What weight decay is multiplied by. Without it the rule for all parameters holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay_factor: Option<f64>,
}

fn one() -> f64 {
    1.0
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            weight_decay_kind: WeightDecayKind::Decoupled,
            decays_all: false,
            clip_norm: None,
            groups: Vec::new(),
        }
    }
}

impl AdamConfig {
    fn check(&self) -> Result<(), AdamError> {
        let expect = |holds: bool, name: &'static str, expected: &'static str, found: f64| {
            if holds { Ok(()) } else { Err(AdamError::Setting { name, expected, found }) }
        };
        let is_not_negative = |value: f64| value.is_finite() && value >= 0.0;
        for beta in self.betas {
            expect((0.0..1.0).contains(&beta), "betas", "numbers from 0 to below 1", beta)?;
        }
        expect(self.epsilon > 0.0 && self.epsilon.is_finite(), "epsilon", "a number above 0", self.epsilon)?;
        expect(is_not_negative(self.weight_decay), "weight_decay", "0 or more", self.weight_decay)?;
        if let Some(norm) = self.clip_norm {
            expect(norm > 0.0 && norm.is_finite(), "clip_norm", "a number above 0", norm)?;
        }
        self.groups.iter().try_for_each(|group| {
            let rate = group.learning_rate_factor;
            expect(is_not_negative(rate), "groups.learning_rate_factor", "0 or more", rate)?;
            let decay = group.weight_decay_factor.unwrap_or(0.0);
            expect(is_not_negative(decay), "groups.weight_decay_factor", "0 or more", decay)
        })
    }

    /// The group that a parameter is in.
    fn group(&self, name: &str) -> Option<&ParameterGroup> {
        self.groups.iter().find(|group| has_segments(name, &group.path))
    }

    /// What weight decay is multiplied by for a parameter.
    fn decay_factor(&self, name: &str, rank: usize) -> f64 {
        let is_scale_or_shift = matches!(name.rsplit('.').next(), Some("bias" | "gamma" | "beta"));
        let rule = if self.decays_all || !(rank <= 1 || is_scale_or_shift) { 1.0 } else { 0.0 };
        self.group(name).and_then(|group| group.weight_decay_factor).unwrap_or(rule)
    }
}

/// Whether `path` stands in `name` between dots.
fn has_segments(name: &str, path: &str) -> bool {
    format!(".{name}.").contains(&format!(".{path}."))
}

/// An optimiser that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdamError {
    /// A number that makes no sense.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The field.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// A group without parameters.
    #[error("groups: expected a part of a parameter's name, as {examples}; found `{path}`, which is in none")]
    NoSuchParameter {
        /// The group's path.
        path: String,
        /// Some names.
        examples: String,
    },
}

/// What may change from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub learning_rate: f64,
    /// Weight decay in place of the configuration's.
    pub weight_decay: Option<f64>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// The norm of all gradients together before clipping: NaN or infinite where one of them is.
    pub gradient_norm: f64,
    /// The first parameter whose gradient is not finite. Then nothing was updated, parameters, moments and number of
    /// steps alike.
    pub non_finite: Option<String>,
}

/// Adam for the parameters of one module.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use solfa_learn::train::{Adam, AdamConfig, Rates};
///
/// let device = Device::flex().autodiff();
/// let mut layer = LinearConfig::new(2, 1).init(&device);
/// let mut adam = Adam::new(AdamConfig::default(), &layer)?;
/// let loss = layer.forward(Tensor::<2>::ones([4, 2], &device)).square().mean();
/// adam.accumulate(&layer, &mut loss.backward());
/// let (updated, outcome) = adam.step(layer, Rates { learning_rate: 1e-3, weight_decay: None });
/// layer = updated;
/// assert_eq!(outcome.non_finite, None);
/// # Ok::<(), solfa_learn::train::AdamError>(())
/// ```
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    /// One for every tensor of floats in the module, in the order of its fields; buffers never have a gradient.
    slots: Vec<Slot>,
    num_accumulated: u32,
}

/// What is kept for one parameter.
#[derive(Debug)]
struct Slot {
    name: String,
    shape: Vec<usize>,
    device: Device,
    /// Whether the parameter lies in the processor's memory, and so do its gradient and its moments.
    is_in_memory: bool,
    learning_rate_factor: f64,
    weight_decay_factor: f64,
    gradient: Option<Gradient>,
    /// None before the first step with a gradient.
    moments: Option<Moments>,
    steps: u64,
}

/// A sum of gradients.
#[derive(Debug)]
enum Gradient {
    Memory(TensorData),
    Device(Tensor<1>),
}

#[derive(Debug)]
enum Moments {
    Memory { first: Vec<f32>, second: Vec<f32> },
    Device(Box<[Tensor<1>; 2]>),
}

impl Adam {
    /// An optimiser for a module whose parameters need gradients, before its first step.
    ///
    /// # Errors
    /// A setting that makes no sense; a group without parameters.
    pub fn new<M: Module>(config: AdamConfig, module: &M) -> Result<Self, AdamError> {
        /// Names that show what names look like.
        const EXAMPLES: usize = 3;
        config.check()?;
        let mut listing = Listing { config: &config, slots: Vec::new() };
        visit_floats(module, &mut listing);
        let slots = listing.slots;
        for group in &config.groups {
            if !slots.iter().any(|slot| has_segments(&slot.name, &group.path)) {
                let examples: Vec<String> =
                    slots.iter().take(EXAMPLES).map(|slot| format!("`{}`", slot.name)).collect();
                let path = group.path.clone();
                return Err(AdamError::NoSuchParameter { path, examples: examples.join(", ") });
            }
        }
        Ok(Self { config, slots, num_accumulated: 0 })
    }

    /// Takes the gradients of one batch out of `gradients` and adds them to those that wait for the next step, which uses
    /// their mean.
    ///
    /// # Panics
    /// For a module with other parameters than the optimiser was made for.
    pub fn accumulate<M: Module>(&mut self, module: &M, gradients: &mut Gradients) {
        visit_floats(module, &mut Accumulating { slots: self.slots.iter_mut(), gradients });
        self.num_accumulated += 1;
    }

    /// Updates the parameters that have gradients, or none of them where a gradient is not finite. Either way the
    /// gradients are used up.
    ///
    /// # Panics
    /// For a module with other parameters than the optimiser was made for.
    pub fn step<M: Module>(&mut self, module: M, rates: Rates) -> (M, StepOutcome) {
        let share = 1.0 / f64::from(self.num_accumulated.max(1));
        let (sum_of_squares, non_finite) = self.sum_of_squares();
        let gradient_norm = share * sum_of_squares.sqrt();
        self.num_accumulated = 0;
        if non_finite.is_some() {
            self.slots.iter_mut().for_each(|slot| slot.gradient = None);
            return (module, StepOutcome { gradient_norm, non_finite });
        }
        let clip = self.config.clip_norm.map_or(1.0, |norm| (norm / (gradient_norm + CLIP_EPSILON)).min(1.0));
        let mut updating = Updating {
            slots: self.slots.iter_mut(),
            config: &self.config,
            learning_rate: rates.learning_rate,
            weight_decay: rates.weight_decay.unwrap_or(self.config.weight_decay),
            gradient_scale: (clip * share) as f32,
        };
        let module = map_floats(module, &mut updating);
        (module, StepOutcome { gradient_norm, non_finite })
    }

    /// Lets go of the gradients that wait for the next step.
    pub fn discard(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.gradient = None);
        self.num_accumulated = 0;
    }

    /// The moments as `<prefix>.first.<parameter>` and `<prefix>.second.<parameter>`, and the steps that each parameter
    /// has had as `<prefix>.steps`. Gradients that wait are left out.
    pub fn tensors(&self, prefix: &str) -> Vec<NamedTensor<'_>> {
        let steps: Vec<i64> = self.slots.iter().map(|slot| slot.steps as i64).collect();
        let mut tensors = vec![NamedTensor {
            name: format!("{prefix}.steps"),
            shape: vec![steps.len()],
            values: TensorValues::Integers(steps.into()),
        }];
        for Slot { name, shape, moments, .. } in &self.slots {
            let (first, second) = match moments {
                None => continue,
                Some(Moments::Memory { first, second }) => {
                    (TensorValues::Floats(first.into()), TensorValues::Floats(second.into()))
                }
                Some(Moments::Device(moments)) => {
                    let [first, second] = moments.each_ref().map(|moment| Box::new(moment.clone()));
                    (TensorValues::Tensor(first), TensorValues::Tensor(second))
                }
            };
            for (which, values) in [("first", first), ("second", second)] {
                tensors.push(NamedTensor { name: format!("{prefix}.{which}.{name}"), shape: shape.clone(), values });
            }
        }
        tensors
    }

    /// Takes what [`tensors`](Self::tensors) gave, bit for bit. Gradients that wait are let go.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] with all names that do not fit this module; a file that cannot be read. The optimiser
    /// is then as it was.
    pub fn restore(&mut self, source: &TensorSource, prefix: &str) -> Result<(), CheckpointError> {
        let mut mismatch = Mismatch::default();
        let steps_name = format!("{prefix}.steps");
        if !mismatch.check_shape(source, &steps_name, &[self.slots.len()]) {
            return mismatch.into_result(source);
        }
        let steps = source.read_integers(&steps_name)?;
        let mut used = std::collections::HashSet::from([steps_name]);
        let mut restored = Vec::with_capacity(self.slots.len());
        for (slot, &steps) in self.slots.iter().zip(&steps) {
            let names = ["first", "second"].map(|which| format!("{prefix}.{which}.{}", slot.name));
            let fits = steps > 0 && names.iter().all(|name| mismatch.check_shape(source, name, &slot.shape));
            restored.push(if fits { Some(slot.read_moments(source, &names)?) } else { None });
            if steps > 0 {
                used.extend(names);
            }
        }
        mismatch.add_unexpected(source, &format!("{prefix}."), |name| used.contains(name));
        mismatch.into_result(source)?;
        self.discard();
        for ((slot, moments), steps) in self.slots.iter_mut().zip(restored).zip(steps) {
            (slot.moments, slot.steps) = (moments, u64::try_from(steps).unwrap_or(0));
        }
        Ok(())
    }

    /// The sum of the squares of all gradients, and the first parameter whose gradient is not finite.
    fn sum_of_squares(&self) -> (f64, Option<String>) {
        let of_tensors: Vec<Tensor<1>> = self
            .slots
            .iter()
            .filter_map(|slot| match &slot.gradient {
                Some(Gradient::Device(gradient)) => Some(gradient.clone().square().sum()),
                _ => None,
            })
            .collect();
        // One transfer for all of them.
        let of_tensors = (!of_tensors.is_empty()).then(|| Tensor::cat(of_tensors, 0).into_data_as::<f32>());
        let mut of_tensors = of_tensors.iter().flat_map(plain);
        let (mut total, mut non_finite) = (0.0, None);
        for slot in &self.slots {
            let sum = match &slot.gradient {
                None => continue,
                Some(Gradient::Memory(gradient)) => sum_of_squares(plain(gradient)),
                Some(Gradient::Device(_)) => of_tensors.next().map_or(f64::NAN, |&sum| f64::from(sum)),
            };
            if !sum.is_finite() {
                non_finite.get_or_insert_with(|| slot.name.clone());
            }
            total += sum;
        }
        (total, non_finite)
    }
}

impl Slot {
    /// Moments of zero for a parameter that has its first gradient.
    fn first_moments(&self) -> Moments {
        let length = self.shape.iter().product();
        if self.is_in_memory {
            return Moments::Memory { first: vec![0.0; length], second: vec![0.0; length] };
        }
        let zeros = Tensor::zeros([length], (&self.device, DType::F32));
        Moments::Device(Box::new([zeros.clone(), zeros]))
    }

    fn read_moments(&self, source: &TensorSource, names: &[String; 2]) -> Result<Moments, CheckpointError> {
        let [first, second] = names;
        let (first, second) = (source.read_floats(first)?, source.read_floats(second)?);
        if self.is_in_memory {
            return Ok(Moments::Memory { first, second });
        }
        let tensor = |values: Vec<f32>| {
            let shape = [values.len()];
            Tensor::from_data(TensorData::new(values, shape), (&self.device, DType::F32))
        };
        Ok(Moments::Device(Box::new([tensor(first), tensor(second)])))
    }
}

/// The next slot, which is for the tensor of this name.
fn next_slot<'slots>(slots: &mut std::slice::IterMut<'slots, Slot>, name: &str) -> &'slots mut Slot {
    match slots.next() {
        Some(slot) if slot.name == name => slot,
        Some(slot) => panic!("the optimiser is for a module with {} where this one has {name}", slot.name),
        None => panic!("the optimiser is for a module without {name}"),
    }
}

/// Lists a module's tensors of floats.
struct Listing<'config> {
    config: &'config AdamConfig,
    slots: Vec<Slot>,
}

impl FloatVisitor for Listing<'_> {
    fn visit<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
        let device = tensor.device().without_autodiff();
        self.slots.push(Slot {
            name: name.to_owned(),
            shape: tensor.dims().to_vec(),
            is_in_memory: is_cpu_without_autodiff(&device),
            device,
            learning_rate_factor: self.config.group(name).map_or(1.0, |group| group.learning_rate_factor),
            weight_decay_factor: self.config.decay_factor(name, D),
            gradient: None,
            moments: None,
            steps: 0,
        });
    }
}

/// Adds one batch's gradients.
struct Accumulating<'slots, 'gradients> {
    slots: std::slice::IterMut<'slots, Slot>,
    gradients: &'gradients mut Gradients,
}

impl FloatVisitor for Accumulating<'_, '_> {
    fn visit<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
        let slot = next_slot(&mut self.slots, name);
        let Some(gradient) = tensor.grad_remove(self.gradients) else { return };
        if slot.is_in_memory {
            let gradient = gradient.into_data_as::<f32>();
            match &mut slot.gradient {
                Some(Gradient::Memory(sum)) => add(plain_mut(sum), plain(&gradient)),
                sum => *sum = Some(Gradient::Memory(gradient)),
            }
        } else {
            let length = gradient.shape().num_elements();
            let gradient = gradient.reshape([length]).cast(DType::F32);
            let sum = match slot.gradient.take() {
                Some(Gradient::Device(sum)) => sum + gradient,
                _ => gradient,
            };
            slot.gradient = Some(Gradient::Device(sum));
        }
    }
}

/// One step, over all parameters.
struct Updating<'slots, 'config> {
    slots: std::slice::IterMut<'slots, Slot>,
    config: &'config AdamConfig,
    learning_rate: f64,
    weight_decay: f64,
    gradient_scale: f32,
}

impl FloatMapper for Updating<'_, '_> {
    fn map<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D> {
        let slot = next_slot(&mut self.slots, name);
        let Some(gradient) = slot.gradient.take() else { return tensor };
        slot.steps += 1;
        let update = self.update(slot);
        let mut moments = slot.moments.take().unwrap_or_else(|| slot.first_moments());
        let tensor = match (gradient, &mut moments) {
            (Gradient::Memory(gradient), Moments::Memory { first, second }) => {
                let (device, dtype) = (tensor.device(), tensor.dtype());
                let mut data = tensor.into_data_as::<f32>();
                update.apply(plain_mut(&mut data), plain(&gradient), first, second);
                Tensor::from_data(data, (&device, dtype))
            }
            (Gradient::Device(gradient), Moments::Device(moments)) => {
                let [first, second] = moments.as_mut();
                update.apply_to_tensor(tensor, gradient, first, second)
            }
            _ => unreachable!("gradients and moments of a parameter lie on its device"),
        };
        slot.moments = Some(moments);
        tensor
    }
}

impl Updating<'_, '_> {
    /// The numbers of one parameter's step.
    fn update(&self, slot: &Slot) -> Update {
        let [first, second] = self.config.betas;
        let learning_rate = self.learning_rate * slot.learning_rate_factor;
        let weight_decay = self.weight_decay * slot.weight_decay_factor;
        let steps = slot.steps as f64;
        let (penalty, shrinkage) = match self.config.weight_decay_kind {
            WeightDecayKind::L2 => (weight_decay, 0.0),
            WeightDecayKind::Decoupled => (0.0, learning_rate * weight_decay),
        };
        Update {
            gradient_scale: self.gradient_scale,
            penalty: penalty as f32,
            kept: (1.0 - shrinkage) as f32,
            first_weight: (1.0 - first) as f32,
            second_kept: second as f32,
            second_weight: (1.0 - second) as f32,
            rate: (learning_rate / (1.0 - first.powf(steps))) as f32,
            root_correction: (1.0 - second.powf(steps)).sqrt() as f32,
            epsilon: self.config.epsilon as f32,
        }
    }
}

/// The numbers of one parameter's step.
#[derive(Clone, Copy, Debug)]
struct Update {
    gradient_scale: f32,
    /// Share of the parameter that is added to its gradient.
    penalty: f32,
    /// Share of the parameter that is left by decoupled weight decay.
    kept: f32,
    first_weight: f32,
    second_kept: f32,
    second_weight: f32,
    /// The learning rate, corrected for the first moment's start at zero.
    rate: f32,
    /// The same correction of the second moment's root.
    root_correction: f32,
    epsilon: f32,
}

impl Update {
    /// On plain memory: one pass.
    fn apply(self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        if values.len() <= CHUNK_VALUES {
            return self.apply_to_chunk(values, gradient, first, second);
        }
        let moments = first.par_chunks_mut(CHUNK_VALUES).zip(second.par_chunks_mut(CHUNK_VALUES));
        let chunks = values.par_chunks_mut(CHUNK_VALUES).zip(gradient.par_chunks(CHUNK_VALUES)).zip(moments);
        chunks.for_each(|((values, gradient), (first, second))| self.apply_to_chunk(values, gradient, first, second));
    }

    fn apply_to_chunk(self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let moments = first.iter_mut().zip(second);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            let gradient = self.gradient_scale * gradient + self.penalty * *value;
            *first += self.first_weight * (gradient - *first);
            *second = self.second_kept * *second + self.second_weight * gradient * gradient;
            let scale = second.sqrt() / self.root_correction + self.epsilon;
            *value = self.kept * *value - self.rate * *first / scale;
        }
    }

    /// The same with tensors.
    fn apply_to_tensor<const D: usize>(
        self,
        tensor: Tensor<D>,
        gradient: Tensor<1>,
        first: &mut Tensor<1>,
        second: &mut Tensor<1>,
    ) -> Tensor<D> {
        let (shape, dtype) = (tensor.shape(), tensor.dtype());
        let values = tensor.reshape([shape.num_elements()]).cast(DType::F32);
        let mut gradient = gradient * self.gradient_scale;
        if self.penalty != 0.0 {
            gradient = gradient + values.clone() * self.penalty;
        }
        *first = first.clone() + (gradient.clone() - first.clone()) * self.first_weight;
        *second = second.clone() * self.second_kept + gradient.square() * self.second_weight;
        let scale = second.clone().sqrt() / self.root_correction + self.epsilon;
        let values = values * self.kept - first.clone() * self.rate / scale;
        values.reshape(shape).cast(dtype)
    }
}

fn add(sum: &mut [f32], values: &[f32]) {
    let add = |(sum, values): (&mut [f32], &[f32])| sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    if sum.len() <= CHUNK_VALUES {
        return add((sum, values));
    }
    sum.par_chunks_mut(CHUNK_VALUES).zip(values.par_chunks(CHUNK_VALUES)).for_each(add);
}

/// The sum of squares in double precision, which no finite gradient overflows: the same whatever the number of threads.
fn sum_of_squares(values: &[f32]) -> f64 {
    if values.len() <= CHUNK_VALUES {
        return sum_of_chunk(values);
    }
    let sums: Vec<f64> = values.par_chunks(CHUNK_VALUES).map(sum_of_chunk).collect();
    sums.iter().sum()
}

fn sum_of_chunk(values: &[f32]) -> f64 {
    /// Sums that do not wait for each other.
    const LANES: usize = 16;
    let mut sums = [0.0_f64; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>()
}

/// The numbers of a tensor's memory.
#[allow(clippy::expect_used, reason = "the data was made as numbers in single precision")]
pub(super) fn plain(data: &TensorData) -> &[f32] {
    data.as_slice().expect("numbers in single precision")
}

/// The same, to be changed.
#[allow(clippy::expect_used, reason = "the data was made as numbers in single precision")]
pub(super) fn plain_mut(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().expect("numbers in single precision")
}

#[cfg(test)]
mod tests;
