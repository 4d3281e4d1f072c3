//! MusicFM: masked prediction of random-projection tokens.
//!
//! Won et al. 2023, "A Foundation Model for Music Informatics", arXiv:2311.03318; the targets are BEST-RQ's (Chiu et al.
//! 2022, arXiv:2202.01855). Blocks of 400 ms of the waveform are replaced by noise, each with a probability of 0.6, and at
//! every token under them the network says which code the quantiser gives the sound as it was.
//!
//! Differs from the published code in one point: logits are computed for hidden frames alone, which changes no number.

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::Encoder;
use solfa_signal::features::{FeatureError, MelConfig, MelSpectrogram};

use crate::data::Batch;
use crate::embed::normalized_mel;
use crate::model::{MelConformer, MelConformerConfig};
use crate::objective::{ObjectiveError, Terms, masked_prediction, split_codebooks};
use crate::targets::{RandomProjectionQuantizer, RandomProjectionQuantizerConfig, stack_frames};
use crate::train::Recipe;
use crate::views::{BlockMask, BlockMaskConfig, ClipSeed, ViewError};

/// The seed of the quantiser: the published one's, though the numbers drawn from it are others.
const QUANTIZER_SEED: u64 = 142;

/// What MusicFM learns, and what of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MusicFmConfig {
    /// The network. Its head has one logit for each code.
    pub network: MelConformerConfig,
    /// Width of the quantiser's codes; 16 in the paper.
    pub code_dim: usize,
    /// Which blocks of a clip are hidden.
    #[serde(default)]
    pub mask: BlockMaskConfig,
    /// Mean and standard deviation of the spectrogram in decibels, over the collection.
    pub mel_statistics: [f32; 2],
    /// Decides masks.
    pub seed: u64,
}

/// Why the method cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MusicFmError {
    /// The spectrogram.
    #[error(transparent)]
    Spectrogram(#[from] FeatureError),
    /// The mask.
    #[error(transparent)]
    Mask(#[from] ViewError),
}

/// The method, ready for batches.
pub struct MusicFm {
    config: MusicFmConfig,
    mel: MelSpectrogram,
    mask: BlockMask,
    quantizer: RandomProjectionQuantizer,
    /// Where targets are computed, without gradients.
    plain: Device,
    /// Frames of the spectrogram in a token.
    fold: usize,
}

impl MusicFm {
    /// Sets the method up; the quantiser, the same for every run, is on `device`, which needs no gradients.
    ///
    /// # Errors
    /// A mask whose blocks are no whole number of tokens.
    pub fn new(config: MusicFmConfig, device: &Device) -> Result<Self, MusicFmError> {
        let mel_config = MelConfig { num_mels: config.network.num_mels, ..MelConfig::muq() };
        let mel = MelSpectrogram::new(mel_config)?;
        let fold: usize = config.network.time_strides.iter().product();
        let spec = mel.spec();
        let tokens_per_second = spec.frames_per_second(0) / fold as f64;
        let mask = BlockMask::new(&config.mask, spec.sample_rate, tokens_per_second)?;
        let quantizer = RandomProjectionQuantizerConfig {
            input_dim: config.network.num_mels * fold,
            num_codes: config.network.num_logits,
            code_dim: config.code_dim,
        };
        let mut random = ClipSeed { seed: QUANTIZER_SEED, step: 0, clip: 0 }.stream("quantizer");
        let quantizer = RandomProjectionQuantizer::drawn(&quantizer, device, || random.normal_pair()[0]);
        Ok(Self { config, mel, mask, quantizer, plain: device.clone(), fold })
    }

    /// Samples per second of the clips.
    pub fn sample_rate(&self) -> u32 {
        self.mel.spec().sample_rate
    }

    /// `[clips, mels, frames]`, normalised.
    fn spectrogram(&self, clips: impl Iterator<Item = Vec<f32>>, device: &Device) -> Tensor<3> {
        let clips: Vec<Waveform> = clips.map(|samples| Waveform::new(samples, self.sample_rate())).collect();
        let [mean, deviation] = self.config.mel_statistics;
        normalized_mel(&self.mel, (mean, deviation), &clips, device)
    }
}

impl Recipe for MusicFm {
    type Network = MelConformer;

    fn network(&self, device: &Device) -> MelConformer {
        MelConformer::new(&self.config.network, device)
    }

    fn terms(&self, network: &MelConformer, batch: &Batch, device: &Device) -> Result<Terms, ObjectiveError> {
        let clean = || batch.clips.iter().filter_map(|clip| clip.crops.first().cloned());
        // Targets are of the sound as it was.
        let stacked = stack_frames(self.spectrogram(clean(), &self.plain).swap_dims(1, 2), self.fold);
        let tokens = self.quantizer.quantize(stacked);
        let [_, num_tokens] = tokens.dims();
        let mut hidden_frames = Vec::new();
        let masked = clean().enumerate().map(|(number, mut samples)| {
            let seed = ClipSeed { seed: self.config.seed, step: batch.step, clip: number as u64 };
            let flags = self.mask.apply(&mut samples, num_tokens, &mut seed.stream("mask"));
            let first = number * num_tokens;
            hidden_frames.extend((0..num_tokens).filter(|&token| flags[token]).map(|token| (first + token) as i64));
            samples
        });
        let spectrogram = self.spectrogram(masked, device);
        let num_layers = self.config.network.conformer.num_layers;
        let hidden = network.forward(spectrogram, None, num_layers, None).pop().unwrap_or_else(|| {
            Tensor::zeros([batch.clips.len(), num_tokens, self.config.network.conformer.hidden_size], device)
        });
        let [clips, frames, width] = hidden.dims();
        if hidden_frames.is_empty() {
            return Err(ObjectiveError::TooFew {
                objective: "masked prediction",
                what: "hidden frames",
                needed: 1,
                found: 0,
            });
        }
        let count = hidden_frames.len();
        let picked =
            |device: &Device| Tensor::<1, Int>::from_data(TensorData::new(hidden_frames.clone(), [count]), device);
        // [clips, frames, width] -> [1, hidden frames, width]
        let hidden = hidden.reshape([clips * frames, width]).select(0, picked(device)).unsqueeze::<3>();
        let targets = tokens.reshape([clips * num_tokens]).select(0, picked(&self.plain)).into_data();
        let targets = Tensor::<1, Int>::from_data(targets, device).reshape([1, count, 1]);
        masked_prediction(split_codebooks(network.logits(hidden), 1)?, targets, None)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use solfa_signal::audio::Resampler;

    use super::*;
    use crate::checkpoint::{TensorValues, module_tensors};
    use crate::data::{
        AudioFile, Collection, EpochEnd, FileTracks, Loader, LoaderThreads, Sampler, SamplingConfig, ShortTracks,
    };
    use crate::device::test_device;
    use crate::model::ConformerConfig;
    use crate::train::{
        AdamConfig, Decay, KEYS_THAT_MAY_CHANGE, LearningRateSchedule, LogLine, RunFolder, Trainer, TrainingConfig,
        TrainingObserver, read_log,
    };
    use crate::views::CropConfig;

    fn config() -> MusicFmConfig {
        let conformer = ConformerConfig {
            hidden_size: 32,
            num_layers: 2,
            num_heads: 2,
            intermediate_size: 64,
            depthwise_kernel: 7,
            layer_norm_epsilon: 1e-5,
            rotary_base: 10_000.0,
        };
        MusicFmConfig {
            network: MelConformerConfig {
                num_mels: 32,
                conv_channels: 8,
                time_strides: [2, 2],
                conformer,
                num_logits: 32,
            },
            code_dim: 8,
            mask: BlockMaskConfig::default(),
            mel_statistics: [6.768_445, 18.417_923],
            seed: 4,
        }
    }

    fn loader(first_step: u64) -> Loader {
        let audio = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(audio)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| ["wav", "flac", "mp3", "ogg"].contains(&extension.to_str().unwrap()))
            })
            .collect();
        paths.sort();
        let files = paths.into_iter().map(|path| AudioFile { name: path.display().to_string(), path }).collect();
        let collection = Collection::survey(Arc::new(FileTracks::new(files, 24_000, Resampler::default()))).unwrap();
        let sampling = SamplingConfig {
            clips_per_batch: 4,
            crop: CropConfig { seconds: 2.4, pair: None },
            views: vec![],
            short_tracks: ShortTracks::Skip,
            epoch_end: EpochEnd::Continue,
        };
        let sampler = Sampler::new(&collection, &sampling, 1).unwrap();
        Loader::new(collection, sampler, LoaderThreads { threads: 2, batches_ahead: 2 }, first_step).unwrap()
    }

    fn training(steps: u64) -> TrainingConfig {
        TrainingConfig {
            steps,
            checkpoint_every: 4,
            keep_checkpoints: 2,
            learning_rate: LearningRateSchedule { peak: 3e-3, warmup_steps: 5, warmup_from: 0.0, decay: Decay::None },
            optimizer: AdamConfig { clip_norm: Some(10.0), ..AdamConfig::default() },
            divergence: Default::default(),
        }
    }

    /// Ends after a step, as a kill does: nothing is saved of what came after the last checkpoint.
    struct Until(u64);

    impl TrainingObserver for Until {
        fn stepped(&mut self, line: &LogLine) {
            assert!(line.step <= self.0, "it goes on after it was told to stop");
        }
        fn wants_to_stop(&mut self) -> bool {
            true
        }
    }

    fn train(folder: &RunFolder, steps: u64) -> MelConformer {
        let device = test_device();
        let recipe = MusicFm::new(config(), &device).unwrap();
        let config = training(steps);
        let device = device.autodiff();
        let trainer = Trainer {
            recipe: &recipe,
            config: &config,
            folder,
            device: &device,
            seed: 7,
            data_sha256: None,
            sample_rate: recipe.sample_rate(),
        };
        trainer.run(|step| Ok(loader(step)), &mut ()).unwrap()
    }

    fn bits(network: &MelConformer) -> Vec<(String, Vec<u32>)> {
        let values = |values: TensorValues<'_>| match values {
            TensorValues::Tensor(tensor) => {
                tensor.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
            }
            TensorValues::Floats(values) => values.iter().map(|value| value.to_bits()).collect(),
            TensorValues::Integers(_) => Vec::new(),
        };
        module_tensors(network, "network").into_iter().map(|tensor| (tensor.name, values(tensor.values))).collect()
    }

    #[test]
    fn it_learns_from_real_sound() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&parent.path().join("run"), &"steps = 60".parse().unwrap()).unwrap();
        train(&folder, 60);
        let lines = read_log(&folder.log_path()).unwrap();
        assert_eq!(lines.len(), 60);
        let mean =
            |lines: &[LogLine], term: fn(&LogLine) -> f64| lines.iter().map(term).sum::<f64>() / lines.len() as f64;
        let (first, last) = (mean(&lines[..5], |line| line.loss), mean(&lines[50..], |line| line.loss));
        assert!((lines[0].loss - 32.0_f64.ln()).abs() < 1.0, "without knowledge: {}", lines[0].loss);
        assert!(last < first - 0.5, "from {first} to {last}");
        let accuracy = |line: &LogLine| line.terms["masked_accuracy"];
        assert!(mean(&lines[50..], accuracy) > mean(&lines[..5], accuracy) + 0.1);
        assert!(
            lines
                .iter()
                .all(|line| !line.skipped && line.gradient_norm.is_finite() && line.audio_seconds_per_second > 0.0)
        );
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        let parent = tempfile::tempdir().unwrap();
        let config: toml::Table = "steps = 9".parse().unwrap();
        let whole = RunFolder::create(&parent.path().join("whole"), &config).unwrap();
        // Other tests draw from the device's generator at the same time, so both begin at a checkpoint.
        train(&whole, 3);
        let folder = RunFolder::create(&parent.path().join("broken"), &config).unwrap();
        for entry in std::fs::read_dir(whole.checkpoints_path()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::create_dir_all(folder.checkpoints_path()).unwrap();
            std::fs::copy(&path, folder.checkpoints_path().join(path.file_name().unwrap())).unwrap();
        }
        std::fs::copy(whole.log_path(), folder.log_path()).unwrap();
        let expected = bits(&train(&whole, 9));
        train(&folder, 6);
        let folder = RunFolder::resume(folder.path(), &config, &KEYS_THAT_MAY_CHANGE).unwrap();
        let found = bits(&train(&folder, 9));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.0, expected.0);
            assert!(found.1 == expected.1, "{} differs", found.0);
        }
        let steps: Vec<u64> = read_log(&folder.log_path()).unwrap().iter().map(|line| line.step).collect();
        assert_eq!(steps, (1..=9).collect::<Vec<u64>>());
    }

    #[test]
    fn a_stop_leaves_a_checkpoint() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&parent.path().join("run"), &"steps = 9".parse().unwrap()).unwrap();
        let device = test_device();
        let recipe = MusicFm::new(config(), &device).unwrap();
        let (config, device) = (training(9), device.autodiff());
        let trainer = Trainer {
            recipe: &recipe,
            config: &config,
            folder: &folder,
            device: &device,
            seed: 7,
            data_sha256: Some("ab"),
            sample_rate: recipe.sample_rate(),
        };
        trainer.run(|step| Ok(loader(step)), &mut Until(1)).unwrap();
        assert!(folder.checkpoints_path().join("step-0000001.safetensors").exists());
    }
}
