//! The field's tasks by name.

use super::TaskKind;
use crate::tag::LabelSet;

/// Where a task's list of classes comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassSource {
    /// There are none, or the kind says which (keys, chords).
    Kind,
    /// A list of this library: [`LabelSet::builtin`].
    Labels(&'static str),
    /// The names that the data set's labels use, in alphabetical order (numbers in theirs).
    Data,
}

/// A task by name: what is asked, and of what.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The name on the command line and in results.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// What is computed.
    pub kind: TaskKind,
    /// Where its classes come from.
    pub classes: ClassSource,
    /// Length of the clips that tracks are cut into, in seconds, where no protocol says otherwise.
    pub clip_seconds: f64,
}

/// What [`TASKS`] is made of: name, title, kind, classes, seconds of a clip.
type Row = (&'static str, &'static str, TaskKind, ClassSource, f64);

/// The tasks of MARBLE, of the layer-wise study, of music2vec's thirteen and of the multi-view study. Clips are MARBLE v1's
/// where it has the task.
pub const TASKS: [Row; 22] = [
    ("gtzan-genre", "Genre, GTZAN (Tzanetakis and Cook 2002)", TaskKind::Class, ClassSource::Data, 30.0),
    (
        "gtzan-beats",
        "Beats and downbeats, GTZAN-Rhythm (Marchand et al. 2015)",
        TaskKind::Beats,
        ClassSource::Kind,
        30.0,
    ),
    ("giantsteps-key", "Key, GiantSteps (Knees et al. 2015)", TaskKind::Key, ClassSource::Kind, 30.0),
    ("giantsteps-tempo", "Tempo, GiantSteps (Knees et al. 2015)", TaskKind::Tempo, ClassSource::Kind, 30.0),
    ("emomusic", "Arousal and valence, EmoMusic (Soleymani et al. 2013)", TaskKind::Numbers, ClassSource::Kind, 5.0),
    ("mtt", "Tags, MagnaTagATune (Law et al. 2009)", TaskKind::Tags, ClassSource::Labels("mtt"), 30.0),
    (
        "jamendo-top50",
        "Tags, MTG-Jamendo (Bogdanov et al. 2019)",
        TaskKind::Tags,
        ClassSource::Labels("jamendo-top50"),
        30.0,
    ),
    ("jamendo-genre", "Genres, MTG-Jamendo", TaskKind::Tags, ClassSource::Labels("jamendo-genre"), 30.0),
    ("jamendo-instrument", "Instruments, MTG-Jamendo", TaskKind::Tags, ClassSource::Labels("jamendo-instrument"), 30.0),
    (
        "jamendo-mood-theme",
        "Moods and themes, MTG-Jamendo",
        TaskKind::Tags,
        ClassSource::Labels("jamendo-mood-theme"),
        30.0,
    ),
    ("msd100", "Tags, Million Song Dataset, 100 tags", TaskKind::Tags, ClassSource::Data, 30.0),
    ("nsynth-pitch", "Pitch of single notes, NSynth (Engel et al. 2017)", TaskKind::Class, ClassSource::Data, 4.0),
    ("nsynth-instrument", "Instrument of single notes, NSynth", TaskKind::Class, ClassSource::Data, 4.0),
    ("vocalset-singer", "Singer, VocalSet (Wilkins et al. 2018)", TaskKind::Class, ClassSource::Data, 5.0),
    ("vocalset-technique", "Singing technique, VocalSet", TaskKind::Class, ClassSource::Data, 5.0),
    ("musdb18", "Source separation, MUSDB18 (Rafii et al. 2017)", TaskKind::Separation, ClassSource::Kind, 30.0),
    ("harmonix-structure", "Structure, Harmonix (Nieto et al. 2019)", TaskKind::Structure, ClassSource::Data, 30.0),
    ("hooktheory-structure", "Section of a clip, HookTheory", TaskKind::Class, ClassSource::Data, 15.0),
    ("hooktheory-key", "Key, HookTheory", TaskKind::Key, ClassSource::Kind, 15.0),
    ("hooktheory-melody", "Melody, HookTheory (Donahue et al. 2022)", TaskKind::Melody, ClassSource::Kind, 15.0),
    ("chords", "Chords, Isophonics, Billboard and others (1,217 songs)", TaskKind::Chords, ClassSource::Kind, 15.0),
    ("maestro", "Piano transcription, MAESTRO (Hawthorne et al. 2019)", TaskKind::Notes, ClassSource::Kind, 10.0),
];

impl Task {
    /// A task of the field by its name.
    pub fn named(name: &str) -> Option<Self> {
        let &(name, title, kind, classes, clip_seconds) = TASKS.iter().find(|(known, ..)| *known == name)?;
        Some(Self { name: name.to_owned(), title: title.to_owned(), kind, classes, clip_seconds })
    }

    /// A task of one's own: classes come from the data, and clips have 30 seconds.
    pub fn custom(name: &str, kind: TaskKind) -> Self {
        let classes = match kind {
            TaskKind::Class | TaskKind::Tags | TaskKind::Structure | TaskKind::Retrieval => ClassSource::Data,
            _ => ClassSource::Kind,
        };
        Self { name: name.to_owned(), title: name.to_owned(), kind, classes, clip_seconds: 30.0 }
    }

    /// The list of classes, given the names that the data uses.
    pub fn class_names(&self, used: impl IntoIterator<Item = String>) -> Vec<String> {
        match self.classes {
            ClassSource::Kind => Vec::new(),
            ClassSource::Labels(name) => LabelSet::builtin(name)
                .map(|set| set.labels().iter().map(|label| label.name().to_owned()).collect())
                .unwrap_or_default(),
            ClassSource::Data => {
                let mut names: Vec<String> = used.into_iter().collect();
                // Numbers in their order, and before names.
                names.sort_by_cached_key(|name| (name.parse::<i64>().unwrap_or(i64::MAX), name.clone()));
                names.dedup();
                names
            }
        }
    }
}

/// Tempi that a tempo head chooses from, in beats per minute: 72 from 30 to 240, 24 an octave, so that neighbours are 3 %
/// apart and the nearest is always within the 4 % of the score.
pub fn tempo_bins() -> Vec<f64> {
    const FIRST: f64 = 30.0;
    const BINS: i32 = 72;
    const BINS_PER_OCTAVE: f64 = 24.0;
    (0..BINS).map(|bin| FIRST * (f64::from(bin) / BINS_PER_OCTAVE).exp2()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_found_by_its_name() {
        for (name, ..) in TASKS {
            let task = Task::named(name).unwrap();
            assert!(task.clip_seconds > 0.0 && !task.title.is_empty());
            if let ClassSource::Labels(_) = task.classes {
                assert!(task.class_names([]).len() >= 40, "{name}");
            }
        }
        assert!(Task::named("gtzan").is_none());
    }

    #[test]
    fn classes_of_the_data_are_in_order() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let task = Task::custom("mine", TaskKind::Class);
        assert_eq!(task.class_names(names(&["rock", "blues", "rock"])), names(&["blues", "rock"]));
        assert_eq!(task.class_names(names(&["100", "60", "9"])), names(&["9", "60", "100"]));
    }

    #[test]
    fn every_usual_tempo_is_near_a_bin() {
        let bins = tempo_bins();
        assert_eq!(bins.len(), 72);
        for tempo in 31..230 {
            let nearest = bins.iter().map(|bin| (bin / f64::from(tempo) - 1.0).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest < 0.02, "{tempo}");
        }
    }
}
