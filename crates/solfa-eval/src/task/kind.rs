//! The kinds of tasks, and the scores of each.

use serde::{Deserialize, Serialize};

/// What is asked of a recording. It decides the form of labels, the head, and the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// One class of several: genre, singer, technique, pitch of a note.
    Class,
    /// One of the 24 major and minor keys.
    Key,
    /// Any number of tags.
    Tags,
    /// Numbers on a scale: arousal and valence.
    Numbers,
    /// Beats per minute.
    Tempo,
    /// Times of beats and downbeats.
    Beats,
    /// Times at which notes start.
    Onsets,
    /// Chords over time.
    Chords,
    /// Parts of a song over time: where they begin, and what they are.
    Structure,
    /// The one melody: its pitch at each moment, or none.
    Melody,
    /// All notes, with pitch, start and end.
    Notes,
    /// The stems that a mixture is made of.
    Separation,
    /// Recordings of the same work among others.
    Retrieval,
}

/// Whether a task says something of a whole track or of every moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One answer for a track.
    Track,
    /// An answer for every frame.
    Frame,
    /// Sound for sound.
    Sound,
    /// No head: tracks are compared with each other.
    Pairs,
}

/// One score of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in results.
    pub name: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
}

const fn up(name: &'static str) -> Metric {
    Metric { name, higher_is_better: true }
}

const fn down(name: &'static str) -> Metric {
    Metric { name, higher_is_better: false }
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Class,
        Self::Key,
        Self::Tags,
        Self::Numbers,
        Self::Tempo,
        Self::Beats,
        Self::Onsets,
        Self::Chords,
        Self::Structure,
        Self::Melody,
        Self::Notes,
        Self::Separation,
        Self::Retrieval,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Key => "key",
            Self::Tags => "tags",
            Self::Numbers => "numbers",
            Self::Tempo => "tempo",
            Self::Beats => "beats",
            Self::Onsets => "onsets",
            Self::Chords => "chords",
            Self::Structure => "structure",
            Self::Melody => "melody",
            Self::Notes => "notes",
            Self::Separation => "separation",
            Self::Retrieval => "retrieval",
        }
    }

    /// What its answers are about.
    pub fn scope(self) -> Scope {
        match self {
            Self::Class | Self::Key | Self::Tags | Self::Numbers | Self::Tempo => Scope::Track,
            Self::Beats | Self::Onsets | Self::Chords | Self::Structure | Self::Melody | Self::Notes => Scope::Frame,
            Self::Separation => Scope::Sound,
            Self::Retrieval => Scope::Pairs,
        }
    }

    /// Its scores, the one that tables show and validation chooses by first.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Class => const { &[up("accuracy"), up("f1_macro")] },
            Self::Key => const { &[up("key_weighted_score"), up("accuracy")] },
            Self::Tags => {
                const { &[up("roc_auc_macro"), up("average_precision_macro"), up("f1_macro"), up("f1_micro")] }
            }
            Self::Numbers => const { &[up("r2"), up("r2_0"), up("r2_1")] },
            Self::Tempo => const { &[up("tempo_accuracy_1"), up("tempo_accuracy_2"), down("tempo_absolute_error")] },
            Self::Beats => {
                const {
                    &[
                        up("beat_f_measure"),
                        up("downbeat_f_measure"),
                        up("beat_cemgil"),
                        up("beat_cmlt"),
                        up("beat_amlt"),
                        up("beat_information_gain"),
                        up("tempo_accuracy_1"),
                        up("tempo_accuracy_2"),
                        down("tempo_absolute_error"),
                    ]
                }
            }
            Self::Onsets => const { &[up("onset_f_measure"), up("onset_precision"), up("onset_recall")] },
            Self::Chords => {
                const {
                    &[
                        up("chord_majmin"),
                        up("chord_root"),
                        up("chord_thirds"),
                        up("chord_mirex"),
                        up("chord_sevenths"),
                        up("chord_segmentation"),
                    ]
                }
            }
            Self::Structure => {
                const {
                    &[
                        up("boundary_f_measure_0.5"),
                        up("boundary_f_measure_3"),
                        up("section_pairwise_f_measure"),
                        up("section_v_measure"),
                        up("section_label_accuracy"),
                    ]
                }
            }
            Self::Melody => {
                const {
                    &[
                        up("raw_pitch_accuracy"),
                        up("raw_chroma_accuracy"),
                        up("overall_accuracy"),
                        up("voicing_recall"),
                        down("voicing_false_alarm"),
                    ]
                }
            }
            Self::Notes => {
                const { &[up("note_onset_f_measure"), up("note_f_measure"), up("note_average_overlap_ratio")] }
            }
            Self::Separation => {
                const { &[up("sdr"), up("sdr_vocals"), up("sdr_drums"), up("sdr_bass"), up("sdr_other")] }
            }
            Self::Retrieval => {
                const {
                    &[
                        up("mean_average_precision"),
                        down("mean_rank_of_first"),
                        up("precision_at_10"),
                        up("recall_at_10"),
                    ]
                }
            }
        }
    }

    /// The score that tables show and validation chooses by.
    pub fn headline(self) -> Metric {
        self.metrics()[0]
    }
}

impl std::str::FromStr for TaskKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not a kind of task: expected one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in TaskKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert!(kind.headline().higher_is_better, "validation keeps the highest score of {}", kind.name());
        }
        assert!("genre".parse::<TaskKind>().unwrap_err().contains("class"));
    }
}
