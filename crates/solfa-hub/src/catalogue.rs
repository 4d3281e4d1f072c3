//! The models that are known by name: plain data.
//!
//! Where a figure comes from is said at its field. Revisions are not pinned: no commit of these repositories could be
//! checked when the table was made.

use serde::Serialize;

use crate::wanted::Wanted;

/// A model that is known by a short name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KnownModel {
    /// The short name.
    pub id: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it is a variant of.
    pub family: Family,
    /// Where its files are.
    pub source: Source,
    /// How many numbers were trained.
    pub parameters: Parameters,
    /// How many layers it gives, layer 0 being what the front end hands to the first block. As the model cards and
    /// official code have it.
    pub layers: usize,
    /// Width of a vector; where layers differ, of the last one.
    pub width: usize,
    /// Vectors in a second; where layers differ, of the last one.
    pub frames_per_second: f64,
    /// Samples in a second that it takes.
    pub sample_rate: u32,
    /// What the weights may be used for: see [`Licence`].
    pub licence: Licence,
    /// The paper's number on arXiv, where there is one.
    pub paper: Option<&'static str>,
    /// Whether it takes text too.
    pub has_text_tower: bool,
    /// What else one should know.
    pub note: &'static str,
}

/// Models with the same network and the same layout of files. The order is that of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// MuQ: Zhu et al. 2025.
    Muq,
    /// MuQ-MuLan, from the same paper.
    MuqMulan,
    /// MusicFM: Won et al. 2023.
    MusicFm,
    /// MERT v0 and v1: Li et al. 2023.
    Mert,
    /// MERT v2, 2026. No paper is known.
    MertV2,
    /// data2vec for sound: Baevski et al. 2022; music2vec: Li et al. 2022.
    Data2vec,
    /// HuBERT: Hsu et al. 2021.
    Hubert,
    /// The ResNet of the comparison of multi-view learning: Meseguer-Brocal et al. 2024.
    MultiViewResnet,
}

impl Family {
    /// Its name in print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Muq => "MuQ",
            Self::MuqMulan => "MuQ-MuLan",
            Self::MusicFm => "MusicFM",
            Self::Mert => "MERT",
            Self::MertV2 => "MERT v2",
            Self::Data2vec => "data2vec",
            Self::Hubert => "HuBERT",
            Self::MultiViewResnet => "multi-view ResNet",
        }
    }
}

/// Where a model's files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// On the Hugging Face hub.
    Hub {
        /// `ORG/NAME`.
        repository: &'static str,
        /// The commit that is meant, where one is known to be right; the newest otherwise.
        revision: Option<&'static str>,
        /// Which of its files are needed.
        files: Wanted,
    },
    /// Somewhere else: the model is named by a path.
    Elsewhere {
        /// Where, and what to do with the files.
        how_to_get: &'static str,
    },
}

/// A count of parameters, with how certain it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameters {
    /// Counted from the published sizes, so the weights of the encoder have exactly this many; heads that only training
    /// uses are left out.
    Exactly(u64),
    /// Rounded. For MERT, MERT v2 and MuQ-MuLan from the model card or the official README; for MuQ and MusicFM counted
    /// from the published sizes, with the head that predicts tokens.
    About(u64),
}

impl Parameters {
    /// The number itself.
    pub fn count(self) -> u64 {
        match self {
            Self::Exactly(count) | Self::About(count) => count,
        }
    }
}

/// What is said about the use of a model's weights, as of November 2026. It is what their publisher states and no legal
/// advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Licence {
    /// The publisher names one.
    Stated {
        /// As SPDX writes it.
        name: &'static str,
        /// Whether it forbids commercial use.
        non_commercial: bool,
    },
    /// Nothing is stated for the weights, so nothing is allowed either.
    NotStated {
        /// What comes nearest to a statement; may be empty.
        remark: &'static str,
    },
}

impl Licence {
    /// Its name, or `not stated`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stated { name, .. } => name,
            Self::NotStated { .. } => "not stated",
        }
    }

    /// Whether commercial use is forbidden in so many words. A licence that is not stated allows none either: see
    /// [`Licence::is_stated`].
    pub fn non_commercial(self) -> bool {
        matches!(self, Self::Stated { non_commercial: true, .. })
    }

    /// Whether there is one.
    pub fn is_stated(self) -> bool {
        matches!(self, Self::Stated { .. })
    }
}

const CC_BY_NC: Licence = Licence::Stated { name: "CC-BY-NC-4.0", non_commercial: true };
const APACHE: Licence = Licence::Stated { name: "Apache-2.0", non_commercial: false };
const NOT_STATED: Licence = Licence::NotStated { remark: "" };
const DEEZER: Licence =
    Licence::NotStated { remark: "the repository has no licence file; a classifier in its metadata says MIT" };

const DEEZER_SOURCE: Source = Source::Elsewhere {
    how_to_get: "download its .pt file from github.com/deezer/multi-view-ssl-benchmark, and give the file's path",
};

/// The model of that short name, in any case.
pub fn find(id: &str) -> Option<&'static KnownModel> {
    MODELS.iter().find(|model| model.id.eq_ignore_ascii_case(id))
}

/// Whole repositories in Hugging Face's layout.
const fn hub(repository: &'static str) -> Source {
    Source::Hub { repository, revision: None, files: Wanted::Model }
}

/// A file of weights and what belongs to it, out of a repository with several.
const fn hub_files(repository: &'static str, files: &'static [&'static str]) -> Source {
    Source::Hub { repository, revision: None, files: Wanted::Exactly(files) }
}

/// All of them, by family, then by short name.
pub const MODELS: &[KnownModel] = &[
    KnownModel {
        id: "muq-large-msd-iter",
        title: "MuQ large, iterated, trained on the Million Song Dataset",
        family: Family::Muq,
        source: hub("OpenMuQ/MuQ-large-msd-iter"),
        parameters: Parameters::About(325_000_000),
        layers: 13,
        width: 1024,
        frames_per_second: 25.0,
        sample_rate: 24_000,
        licence: CC_BY_NC,
        paper: Some("2501.01108"),
        has_text_tower: false,
        note: "32-bit floats are recommended by its authors",
    },
    KnownModel {
        id: "muq-mulan-large",
        title: "MuQ-MuLan large: sound and text in one space",
        family: Family::MuqMulan,
        source: hub("OpenMuQ/MuQ-MuLan-large"),
        parameters: Parameters::About(700_000_000),
        layers: 1,
        width: 512,
        frames_per_second: 0.1,
        sample_rate: 24_000,
        licence: CC_BY_NC,
        paper: Some("2501.01108"),
        has_text_tower: true,
        note: "one vector for each 10 s; needs config.json of MuQ-large-msd-iter and of xlm-roberta-base too",
    },
    KnownModel {
        id: "musicfm-fma",
        title: "MusicFM, trained on the Free Music Archive",
        family: Family::MusicFm,
        source: hub_files("minzwon/MusicFM", &["pretrained_fma.pt", "fma_stats.json"]),
        parameters: Parameters::About(320_000_000),
        layers: 13,
        width: 1024,
        frames_per_second: 25.0,
        sample_rate: 24_000,
        licence: NOT_STATED,
        paper: Some("2311.03318"),
        has_text_tower: false,
        note: "the weights come without a licence",
    },
    KnownModel {
        id: "musicfm-msd",
        title: "MusicFM, trained on the Million Song Dataset",
        family: Family::MusicFm,
        source: hub_files("minzwon/MusicFM", &["pretrained_msd.pt", "msd_stats.json"]),
        parameters: Parameters::About(320_000_000),
        layers: 13,
        width: 1024,
        frames_per_second: 25.0,
        sample_rate: 24_000,
        licence: NOT_STATED,
        paper: Some("2311.03318"),
        has_text_tower: false,
        note: "the weights come without a licence",
    },
    KnownModel {
        id: "mert-v0",
        title: "MERT v0",
        family: Family::Mert,
        source: hub("m-a-p/MERT-v0"),
        parameters: Parameters::About(95_000_000),
        layers: 13,
        width: 768,
        frames_per_second: 50.0,
        sample_rate: 16_000,
        licence: CC_BY_NC,
        paper: Some("2306.00107"),
        has_text_tower: false,
        note: "trained on 1000 h",
    },
    KnownModel {
        id: "mert-v0-public",
        title: "MERT v0, trained on public recordings",
        family: Family::Mert,
        source: hub("m-a-p/MERT-v0-public"),
        parameters: Parameters::About(95_000_000),
        layers: 13,
        width: 768,
        frames_per_second: 50.0,
        sample_rate: 16_000,
        licence: CC_BY_NC,
        paper: Some("2306.00107"),
        has_text_tower: false,
        note: "trained on 900 h of open recordings",
    },
    KnownModel {
        id: "mert-v1-330m",
        title: "MERT v1, 330 M",
        family: Family::Mert,
        source: hub("m-a-p/MERT-v1-330M"),
        parameters: Parameters::About(330_000_000),
        layers: 25,
        width: 1024,
        frames_per_second: 75.0,
        sample_rate: 24_000,
        licence: CC_BY_NC,
        paper: Some("2306.00107"),
        has_text_tower: false,
        note: "trained on 160 000 h",
    },
    KnownModel {
        id: "mert-v1-95m",
        title: "MERT v1, 95 M",
        family: Family::Mert,
        source: hub("m-a-p/MERT-v1-95M"),
        parameters: Parameters::About(95_000_000),
        layers: 13,
        width: 768,
        frames_per_second: 75.0,
        sample_rate: 24_000,
        licence: CC_BY_NC,
        paper: Some("2306.00107"),
        has_text_tower: false,
        note: "trained on 20 000 h",
    },
    KnownModel {
        id: "mert-v2-30s",
        title: "MERT v2, for clips of 30 s",
        family: Family::MertV2,
        source: hub("m-a-p/MERT-v2-30s"),
        parameters: Parameters::About(632_000_000),
        layers: 25,
        width: 1024,
        frames_per_second: 25.0,
        sample_rate: 24_000,
        licence: CC_BY_NC,
        paper: None,
        has_text_tower: false,
        note: "the released weights could not be tried",
    },
    KnownModel {
        id: "mert-v2-fullsong",
        title: "MERT v2, for 30 to 360 s",
        family: Family::MertV2,
        source: hub("m-a-p/MERT-v2-FullSong"),
        parameters: Parameters::About(632_000_000),
        layers: 25,
        width: 1024,
        frames_per_second: 25.0,
        sample_rate: 24_000,
        licence: CC_BY_NC,
        paper: None,
        has_text_tower: false,
        note: "the released weights could not be tried",
    },
    KnownModel {
        id: "data2vec-audio-base",
        title: "data2vec audio base, trained on speech",
        family: Family::Data2vec,
        source: hub("facebook/data2vec-audio-base"),
        parameters: Parameters::Exactly(93_164_288),
        layers: 13,
        width: 768,
        frames_per_second: 50.0,
        sample_rate: 16_000,
        licence: APACHE,
        paper: Some("2202.03555"),
        has_text_tower: false,
        note: "speech: a baseline for music2vec-v1",
    },
    KnownModel {
        id: "music2vec-v1",
        title: "music2vec v1",
        family: Family::Data2vec,
        source: hub("m-a-p/music2vec-v1"),
        parameters: Parameters::Exactly(93_164_288),
        layers: 13,
        width: 768,
        frames_per_second: 50.0,
        sample_rate: 16_000,
        licence: CC_BY_NC,
        paper: Some("2212.02508"),
        has_text_tower: false,
        note: "trained on 1000 h",
    },
    KnownModel {
        id: "hubert-base-ls960",
        title: "HuBERT base, trained on speech",
        family: Family::Hubert,
        source: hub("facebook/hubert-base-ls960"),
        parameters: Parameters::Exactly(94_371_712),
        layers: 13,
        width: 768,
        frames_per_second: 50.0,
        sample_rate: 16_000,
        licence: APACHE,
        paper: Some("2106.07447"),
        has_text_tower: false,
        note: "speech: a baseline for MERT",
    },
    KnownModel {
        id: "hubert-large-ll60k",
        title: "HuBERT large, trained on speech",
        family: Family::Hubert,
        source: hub("facebook/hubert-large-ll60k"),
        parameters: Parameters::Exactly(315_438_720),
        layers: 25,
        width: 1024,
        frames_per_second: 50.0,
        sample_rate: 16_000,
        licence: APACHE,
        paper: Some("2106.07447"),
        has_text_tower: false,
        note: "speech: a baseline for MERT",
    },
    KnownModel {
        id: "deezer-barlow-twins",
        title: "Multi-view ResNet, Barlow Twins",
        family: Family::MultiViewResnet,
        source: DEEZER_SOURCE,
        parameters: Parameters::Exactly(2_800_392),
        layers: 5,
        width: 1024,
        frames_per_second: 0.25,
        sample_rate: 16_000,
        licence: DEEZER,
        paper: Some("2404.09177"),
        has_text_tower: false,
        note: "layers: four stages, each narrower and faster, then one vector for each 4 s",
    },
    KnownModel {
        id: "deezer-byol",
        title: "Multi-view ResNet, BYOL",
        family: Family::MultiViewResnet,
        source: DEEZER_SOURCE,
        parameters: Parameters::Exactly(2_800_392),
        layers: 5,
        width: 1024,
        frames_per_second: 0.25,
        sample_rate: 16_000,
        licence: DEEZER,
        paper: Some("2404.09177"),
        has_text_tower: false,
        note: "layers: four stages, each narrower and faster, then one vector for each 4 s",
    },
    KnownModel {
        id: "deezer-clustering",
        title: "Multi-view ResNet, clustering",
        family: Family::MultiViewResnet,
        source: DEEZER_SOURCE,
        parameters: Parameters::Exactly(2_800_392),
        layers: 5,
        width: 1024,
        frames_per_second: 0.25,
        sample_rate: 16_000,
        licence: DEEZER,
        paper: Some("2404.09177"),
        has_text_tower: false,
        note: "layers: four stages, each narrower and faster, then one vector for each 4 s",
    },
    KnownModel {
        id: "deezer-contrastive",
        title: "Multi-view ResNet, contrastive",
        family: Family::MultiViewResnet,
        source: DEEZER_SOURCE,
        parameters: Parameters::Exactly(2_800_392),
        layers: 5,
        width: 1024,
        frames_per_second: 0.25,
        sample_rate: 16_000,
        licence: DEEZER,
        paper: Some("2404.09177"),
        has_text_tower: false,
        note: "layers: four stages, each narrower and faster, then one vector for each 4 s",
    },
    KnownModel {
        id: "deezer-feature-stats",
        title: "Multi-view ResNet, VICReg",
        family: Family::MultiViewResnet,
        source: DEEZER_SOURCE,
        parameters: Parameters::Exactly(2_800_392),
        layers: 5,
        width: 1024,
        frames_per_second: 0.25,
        sample_rate: 16_000,
        licence: DEEZER,
        paper: Some("2404.09177"),
        has_text_tower: false,
        note: "layers: four stages, each narrower and faster, then one vector for each 4 s",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::reference::RepositoryReference;

    #[test]
    fn ids_are_unique_and_sorted_within_sorted_families() {
        assert_eq!(MODELS.len(), 19);
        let ids: BTreeSet<&str> = MODELS.iter().map(|model| model.id).collect();
        assert_eq!(ids.len(), MODELS.len());
        let is_in_order = |pair: &[KnownModel]| (pair[0].family, pair[0].id) < (pair[1].family, pair[1].id);
        for pair in MODELS.windows(2) {
            assert!(is_in_order(pair), "{} before {}", pair[0].id, pair[1].id);
        }
    }

    #[test]
    fn non_commercial_licences_are_flagged() {
        let mut flagged = 0;
        for model in MODELS {
            let is_nc = model.licence.name().split('-').any(|part| part == "NC");
            assert_eq!(model.licence.non_commercial(), is_nc, "{}", model.id);
            assert_eq!(model.licence.is_stated(), model.licence.name() != "not stated", "{}", model.id);
            flagged += usize::from(is_nc);
        }
        assert_eq!(flagged, 9);
    }

    #[test]
    fn every_entry_is_plausible() {
        for model in MODELS {
            let text = [model.id, model.title, model.note];
            assert!(text.iter().all(|text| !text.is_empty() && text.trim() == *text), "{}", model.id);
            assert!(
                model.id.chars().all(|character| character.is_ascii_lowercase() || "-0123456789".contains(character))
            );
            assert!(matches!(model.sample_rate, 16_000 | 24_000), "{}", model.id);
            assert!(model.parameters.count() > 1_000_000 && model.layers > 0 && model.width > 0, "{}", model.id);
            // A frame is a whole number of samples.
            assert_eq!((f64::from(model.sample_rate) / model.frames_per_second).fract(), 0.0, "{}", model.id);
            if let Some(paper) = model.paper {
                let (year_and_month, number) = paper.split_once('.').unwrap();
                assert!(year_and_month.len() == 4 && number.len() == 5, "{}", model.id);
            }
            if let Source::Hub { repository, revision, files } = model.source {
                RepositoryReference::new(repository, revision).unwrap();
                assert!(files.required().iter().all(|name| crate::wanted::is_plain_name(name)), "{}", model.id);
            }
        }
    }

    /// The exact counts, from the sizes in the papers and released configurations.
    #[test]
    fn exact_counts_follow_from_the_sizes() {
        let linear = |inputs: u64, outputs: u64| inputs * outputs + outputs;
        let norm = |width: u64| 2 * width;
        let block = |width: u64| {
            4 * linear(width, width) + 2 * norm(width) + linear(width, 4 * width) + linear(4 * width, width)
        };
        // Seven convolutions: kernels 10, 3, 3, 3, 3, 2, 2, from one channel to 512, without bias.
        let convolutions: u64 = 512 * 10 + 4 * 512 * 512 * 3 + 2 * 512 * 512 * 2;
        let projection = |width: u64| norm(512) + linear(512, width);
        // Positions: 16 groups, kernel 128, normalised weights with one length for each tap of the kernel.
        let positions = |width: u64| width * (width / 16) * 128 + 128 + width;
        // Masked frames are replaced by one learned vector.
        let transformer = |width: u64, blocks: u64| norm(width) + blocks * block(width) + width;
        let hubert_base = convolutions + norm(512) + projection(768) + positions(768) + transformer(768, 12);
        let biases_and_norms = 7 * (512 + norm(512));
        let hubert_large = convolutions + biases_and_norms + projection(1024) + positions(1024) + transformer(1024, 24);
        // Five convolutions in a row instead: 16 groups, kernel 19.
        let data2vec_positions = 5 * (768 * (768 / 16) * 19 + 768);
        let data2vec = convolutions + 7 * norm(512) + projection(768) + data2vec_positions + transformer(768, 12);
        for (id, expected) in [
            ("hubert-base-ls960", hubert_base),
            ("hubert-large-ll60k", hubert_large),
            ("data2vec-audio-base", data2vec),
            ("music2vec-v1", data2vec),
        ] {
            assert_eq!(find(id).unwrap().parameters, Parameters::Exactly(expected), "{id}");
        }
    }
}
