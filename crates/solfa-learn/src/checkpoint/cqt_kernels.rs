//! The kernels of a constant-Q transform that nnAudio stores in a checkpoint.
//!
//! Ours ([`solfa_signal::features::Cqt`]) does without: it transforms the sound once, with the kernels' spectra in
//! closed form. So that what is stored counts all the same, the stored kernels must be the ones that the configuration
//! describes.

use solfa_signal::features::CqtConfig;

use super::strict::StrictLoader;
use super::{CheckpointError, TensorSource};

/// Largest difference from a kernel's definition, as a share of the kernel's largest value. Single precision leaves
/// 1e-7, and an oscillation of ten thousand radians 1e-6 where its phase was computed in single precision.
const TOLERANCE: f64 = 1e-5;

/// nnAudio's name for the module, as MERT has it.
const MODULE: &str = "feature_extractor_cqt.";

/// Compares the stored kernels with their definition, and counts their tensors as used. A checkpoint without them is
/// fine: nnAudio would make them anew.
///
/// # Errors
/// Kernels that are others. Missing or mis-shaped tensors are noted by the loader.
pub(super) fn check(
    config: &CqtConfig,
    prefix: &str,
    source: &TensorSource,
    loader: &mut StrictLoader<'_>,
) -> Result<(), CheckpointError> {
    let names = ["lenghts", "cqt_kernels_real", "cqt_kernels_imag"].map(|name| format!("{prefix}{MODULE}{name}"));
    if names.iter().all(|name| source.shape(name).is_none()) {
        return Ok(());
    }
    let lengths: Vec<usize> = (0..config.num_bins).map(|bin| config.kernel_samples(bin) as usize).collect();
    let width = lengths.iter().max().copied().unwrap_or(1).next_power_of_two();
    let num_bins = config.num_bins;
    let [lengths_name, real_name, imaginary_name] = &names;
    let stored_lengths = loader.take(lengths_name, &[num_bins]);
    let real = loader.take(real_name, &[num_bins, 1, width]);
    let imaginary = loader.take(imaginary_name, &[num_bins, 1, width]);
    let differs = |name: &str, bin: usize, expected: f64, found: f32| CheckpointError::Damaged {
        path: source.files()[0].clone(),
        reason: format!(
            "tensor {name}: expected the kernels of the constant-Q transform that the configuration describes \
             ({num_bins} bins, {} to the octave, at {} Hz), found {found} instead of {expected} in bin {bin}",
            config.bins_per_octave, config.sample_rate
        ),
    };
    // Whatever is of another shape is said with all else that does not fit: nothing has to be computed for it.
    if stored_lengths.is_none() || real.is_none() || imaginary.is_none() {
        return Ok(());
    }
    for (bin, &length) in lengths.iter().enumerate() {
        if let Some(&found) = stored_lengths.as_ref().and_then(|stored| stored.get(bin))
            && found != length as f32
        {
            return Err(differs(lengths_name, bin, length as f64, found));
        }
        let kernel = kernel(config, bin, length, width);
        for (name, stored, part) in [(real_name, &real, 0), (imaginary_name, &imaginary, 1)] {
            let Some(stored) = stored.as_ref().and_then(|stored| stored.get(bin * width..(bin + 1) * width)) else {
                continue;
            };
            for (expected, &found) in kernel.iter().map(|value| value[part]).zip(stored) {
                let is_same = (expected - f64::from(found)).abs() <= TOLERANCE * 2.0 / length as f64;
                if !is_same {
                    return Err(differs(name, bin, expected, found));
                }
            }
        }
    }
    Ok(())
}

/// A kernel as nnAudio defines it, real and imaginary: a periodic Hann window times an oscillation, divided by the sum
/// of the window, in the middle of `width` samples.
fn kernel(config: &CqtConfig, bin: usize, length: usize, width: usize) -> Vec<[f64; 2]> {
    let before = length.div_ceil(2);
    let step = std::f64::consts::TAU * config.bin_hz(bin) / f64::from(config.sample_rate);
    let mut kernel = vec![[0.0; 2]; width];
    for index in 0..length {
        let window = 0.5 - 0.5 * (std::f64::consts::TAU * index as f64 / length as f64).cos();
        let (sine, cosine) = (step * (index as f64 - before as f64)).sin_cos();
        let weight = window / (0.5 * length as f64);
        kernel[width / 2 - before + index] = [weight * cosine, weight * sine];
    }
    kernel
}
