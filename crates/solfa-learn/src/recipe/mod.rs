//! Methods of pre-training, one file each: what learns, what it is shown, and what it is asked.
//!
//! | recipe | paper |
//! |---|---|
//! | `mel-rvq` | MuQ's tokenizer by itself (Zhu et al. 2025) |
//! | `muq`, `muq-iter` | masked prediction of its tokens, and of a first round's hidden states (Zhu et al. 2025) |
//! | `musicfm` | masked prediction of random-projection tokens (Won et al. 2023) |
//! | `musichubert`, `mert` | tokens of k-means teachers by cosine, and a spectrogram (Hsu et al. 2021, Li et al. 2023) |
//! | `music2vec` | a slow copy's layers at hidden frames (Li et al. 2022, Baevski et al. 2022) |
//! | `vit1d-contrastive` | two segments of a track, NT-Xent on the class token (arXiv:2506.23873) |
//! | `resnet-contrastive`, `-byol`, `-clustering`, `-barlow`, `-vicreg` | the multi-view study: five objectives, one network (arXiv:2404.09177) |
//! | `mulan` | sound and text in one space, beside a model of text that does not learn (Zhu et al. 2025, Huang et al. 2022) |
//!
//! A run is a configuration ([`Plan`]) on some data ([`Ground`]). Any encoder can be given to any recipe that its output fits:
//! the pairing is configuration.
//!
//! This module must not know: the command line, probes.

mod barlow_twins;
mod byol;
mod clustering;
mod contrastive;
mod data2vec;
mod hidden_states;
mod hubert;
mod masked_prediction;
mod masking;
mod mel_rvq;
mod mulan;
mod muq;
mod muq_iter;
mod musicfm;
mod run_config;
mod siamese;
mod spectrogram_tokens;
#[cfg(test)]
mod testing;
mod texts;
mod two_views;
mod vicreg;

pub use masking::MaskConfig;
pub use mel_rvq::of_hidden_states;
pub use run_config::{ConfigError, RunConfig, set};
pub use spectrogram_tokens::TokenSpectrogramConfig;
pub use texts::TrackTexts;

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::checkpoint::CheckpointError;
use crate::data::{Collection, DataError, Loader, Sampler};
use crate::targets::stored::StoredTargetError;
use crate::train::{KEYS_THAT_MAY_CHANGE, Recipe, RunFolder, Trainer, TrainingError, TrainingObserver};
use crate::views::ViewError;

/// What a method is trained on, and where.
pub struct Ground<'run> {
    /// Where the run is kept.
    pub folder: &'run RunFolder,
    /// The tracks, at [`Plan::sample_rate`].
    pub collection: &'run Collection,
    /// What is said of each track, by its number; tracks beyond its end have nothing said of them. Only methods that learn
    /// from words look at it ([`Plan::learns_from_texts`]).
    pub texts: &'run [TrackTexts],
    /// A device without gradients.
    pub device: &'run Device,
}

/// Why a method cannot be trained, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A mask or view that cannot be used.
    #[error("method: {0}")]
    View(#[from] ViewError),
    /// Another model's file that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No clips can be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A method that learns from words, and no words.
    #[error(
        "of none of {count} tracks is anything said, and this method learns from words: expected tags or captions, as in \
         a manifest (.jsonl or .csv) with `tags` or `caption`, or `synth:`"
    )]
    NoTexts {
        /// Tracks.
        count: usize,
    },
    /// Labels or centroids that cannot be used.
    #[error(transparent)]
    StoredTarget(#[from] StoredTargetError),
    /// The training.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// Someone wanted it to end before the method was ready. What was done is in the folder.
    #[error("stopped before the training itself began")]
    Stopped,
}

/// A method by its configuration.
trait Method: Serialize + DeserializeOwned + 'static {
    /// What is trained.
    type Recipe: Recipe;

    /// Whether tracks of which nothing is said are left out, and [`Ground::texts`] are data like the sound.
    const LEARNS_FROM_TEXTS: bool = false;

    /// Refuses what does not fit together, before any file is touched.
    ///
    /// # Errors
    /// [`ConfigError`] with the key.
    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError>;

    /// Refuses other models' files that are not there, before a run is begun.
    ///
    /// # Errors
    /// What is missing.
    fn check_files(config: &RunConfig<Self>) -> Result<(), PretrainError> {
        let _ = config;
        Ok(())
    }

    /// Makes the method ready. What it needs and was not given is fitted first, or taken from the run's folder where an
    /// earlier part of the run fitted it.
    ///
    /// # Errors
    /// [`PretrainError`].
    fn prepare(
        config: &RunConfig<Self>,
        ground: &Ground<'_>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Self::Recipe, PretrainError>;
}

/// A recipe's name, and how its configuration is read.
type Row = (&'static str, fn(&Table) -> Result<Box<dyn AnyPlan>, ConfigError>);

/// Every recipe.
const ROWS: [Row; 14] = [
    ("mel-rvq", read::<mel_rvq::MelRvqMethod>),
    ("muq", read::<muq::Muq>),
    ("muq-iter", read::<muq_iter::MuqIter>),
    ("musicfm", read::<musicfm::MusicFm>),
    ("musichubert", read::<hubert::HubertMethod>),
    ("mert", read::<hubert::HubertMethod>),
    ("music2vec", read::<data2vec::Data2VecMethod>),
    ("vit1d-contrastive", read::<contrastive::Contrastive>),
    ("resnet-contrastive", read::<contrastive::Contrastive>),
    ("resnet-byol", read::<byol::ByolMethod>),
    ("resnet-clustering", read::<clustering::ClusteringMethod>),
    ("resnet-barlow", read::<barlow_twins::BarlowTwins>),
    ("resnet-vicreg", read::<vicreg::Vicreg>),
    ("mulan", read::<mulan::MulanMethod>),
];

/// The names of all recipes.
pub const RECIPES: [&str; ROWS.len()] = {
    let mut names = [""; ROWS.len()];
    let mut number = 0;
    while number < names.len() {
        names[number] = ROWS[number].0;
        number += 1;
    }
    names
};

/// A run as it is configured, with every default filled in.
pub struct Plan(Box<dyn AnyPlan>);

impl Plan {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with the key, and the nearest known one where there is no such key.
    pub fn read(table: &Table) -> Result<Self, ConfigError> {
        let name = match table.get("recipe") {
            Some(Value::String(name)) => name.as_str(),
            Some(other) => return Err(ConfigError::of(format!("recipe: expected a name, found {other}"))),
            None => return Err(ConfigError::of(format!("recipe: missing; expected one of {}", RECIPES.join(", ")))),
        };
        let Some((_, read)) = ROWS.iter().find(|(known, _)| *known == name) else {
            let nearest = run_config::nearest(name, RECIPES);
            return Err(ConfigError::UnknownRecipe { found: name.to_owned(), expected: RECIPES.to_vec(), nearest });
        };
        Ok(Self(read(table)?))
    }

    /// Samples per second of the clips.
    pub fn sample_rate(&self) -> u32 {
        self.0.sample_rate()
    }

    /// Whether it learns from what is said of tracks.
    pub fn learns_from_texts(&self) -> bool {
        self.0.learns_from_texts()
    }

    /// Refuses a method whose other models' files are not there, before anything is written.
    ///
    /// # Errors
    /// [`PretrainError`].
    pub fn check_files(&self) -> Result<(), PretrainError> {
        self.0.check_files()
    }

    /// The configuration with every default filled in: what is kept with the run.
    ///
    /// # Errors
    /// A value that TOML cannot hold.
    pub fn resolved(&self) -> Result<Table, ConfigError> {
        self.0.resolved()
    }

    /// Refuses tracks that no batch can be made of, before anything is written. `texts` are as in [`Ground::texts`].
    ///
    /// # Errors
    /// [`PretrainError::Data`] or [`PretrainError::NoTexts`].
    pub fn check_data(&self, collection: &Collection, texts: &[TrackTexts]) -> Result<(), PretrainError> {
        self.0.check_data(collection, texts)
    }

    /// Trains, from the newest checkpoint of the folder on where there is one.
    ///
    /// # Errors
    /// [`PretrainError`]; what was done before is in the folder.
    pub fn run(&self, ground: &Ground<'_>, observer: &mut dyn TrainingObserver) -> Result<(), PretrainError> {
        self.0.run(ground, observer)
    }
}

/// A plan of whichever method.
trait AnyPlan {
    fn sample_rate(&self) -> u32;
    fn learns_from_texts(&self) -> bool;
    fn check_files(&self) -> Result<(), PretrainError>;
    fn resolved(&self) -> Result<Table, ConfigError>;
    fn check_data(&self, collection: &Collection, texts: &[TrackTexts]) -> Result<(), PretrainError>;
    fn run(&self, ground: &Ground<'_>, observer: &mut dyn TrainingObserver) -> Result<(), PretrainError>;
}

impl<M: Method> AnyPlan for RunConfig<M> {
    fn sample_rate(&self) -> u32 {
        self.encoder.sample_rate()
    }

    fn learns_from_texts(&self) -> bool {
        M::LEARNS_FROM_TEXTS
    }

    fn check_files(&self) -> Result<(), PretrainError> {
        M::check_files(self)
    }

    fn resolved(&self) -> Result<Table, ConfigError> {
        run_config::resolved(self)
    }

    fn check_data(&self, collection: &Collection, texts: &[TrackTexts]) -> Result<(), PretrainError> {
        Sampler::new(&usable::<M>(collection, texts)?, &self.sampling, self.seed)?;
        Ok(())
    }

    fn run(&self, ground: &Ground<'_>, observer: &mut dyn TrainingObserver) -> Result<(), PretrainError> {
        train(self, ground, observer).map(drop)
    }
}

fn read<M: Method>(table: &Table) -> Result<Box<dyn AnyPlan>, ConfigError> {
    let config: RunConfig<M> = run_config::parse(table)?;
    M::check(&config)?;
    Ok(Box::new(config))
}

/// The tracks that a method can learn from.
fn usable<M: Method>(collection: &Collection, texts: &[TrackTexts]) -> Result<Collection, PretrainError> {
    if M::LEARNS_FROM_TEXTS { texts::described(collection, texts) } else { Ok(collection.clone()) }
}

/// Trains something that another method needs, in a run of its own within the run's folder.
///
/// # Errors
/// As [`train`], and [`PretrainError::Stopped`].
fn fit<M: Method>(
    config: &RunConfig<M>,
    name: &str,
    ground: &Ground<'_>,
    observer: &mut dyn TrainingObserver,
) -> Result<<M::Recipe as Recipe>::Network, PretrainError> {
    let path = ground.folder.path().join(name);
    let resolved = run_config::resolved(config)?;
    let folder = match RunFolder::open(&path) {
        Ok(_) => RunFolder::resume(&path, &resolved, &KEYS_THAT_MAY_CHANGE),
        Err(_) => RunFolder::create(&path, &resolved),
    };
    let folder = folder.map_err(TrainingError::from)?;
    let network = train(config, &Ground { folder: &folder, ..*ground }, observer)?;
    if observer.wants_to_stop() { Err(PretrainError::Stopped) } else { Ok(network) }
}

/// Prepares a method and trains it.
fn train<M: Method>(
    config: &RunConfig<M>,
    ground: &Ground<'_>,
    observer: &mut dyn TrainingObserver,
) -> Result<<M::Recipe as Recipe>::Network, PretrainError> {
    let collection = usable::<M>(ground.collection, ground.texts)?;
    let ground = &Ground { collection: &collection, ..*ground };
    // An impossible way to draw batches is found before anything is fitted.
    let sampler = Sampler::new(ground.collection, &config.sampling, config.seed)?;
    observer.tracks_skipped(sampler.skipped());
    let recipe = M::prepare(config, ground, observer)?;
    let device = ground.device.clone().autodiff();
    let data_sha256 = if M::LEARNS_FROM_TEXTS {
        texts::data_sha256(ground.collection, ground.texts)
    } else {
        ground.collection.data_sha256()
    };
    let trainer = Trainer {
        recipe: &recipe,
        config: &config.training,
        folder: ground.folder,
        device: &device,
        seed: config.seed,
        data_sha256: Some(&data_sha256),
        sample_rate: config.encoder.sample_rate(),
    };
    observer.begins(&config.recipe, config.training.steps);
    let open = |first| Loader::new(ground.collection.clone(), sampler, config.loader, first);
    Ok(trainer.run(open, observer)?)
}
