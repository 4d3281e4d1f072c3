//! Lists of classes that are public facts, in the order that the field's programs number them.
//!
//! The tags of MagnaTagATune and MTG-Jamendo are [`LabelSet`]s.

use crate::metrics::key::pitch_class;
use crate::tag::LabelSet;

/// GTZAN's genres (Tzanetakis and Cook 2002).
pub const GTZAN_GENRES: [&str; 10] =
    ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"];

/// The 12 tonics as the data sets of keys write them, by pitch class from C on.
pub const TONICS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"];

/// The 24 keys: the major ones from C on, then the minor ones.
pub const KEYS: [&str; 24] = [
    "C major", "Db major", "D major", "Eb major", "E major", "F major", "Gb major", "G major", "Ab major", "A major",
    "Bb major", "B major", "C minor", "Db minor", "D minor", "Eb minor", "E minor", "F minor", "Gb minor", "G minor",
    "Ab minor", "A minor", "Bb minor", "B minor",
];

/// NSynth's families of instruments (Engel et al. 2017), in the order of its `instrument_family`.
pub const NSYNTH_FAMILIES: [&str; 11] =
    ["bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal"];

/// Number of classes of NSynth's pitches: all MIDI numbers.
pub const NUM_PITCHES: usize = 128;

/// VocalSet's singers (Wilkins et al. 2018): female, then male.
pub const VOCALSET_SINGERS: [&str; 20] = [
    "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10",
    "m11",
];

/// The ten of VocalSet's techniques that are told apart in the paper and in MARBLE.
pub const VOCALSET_TECHNIQUES: [&str; 10] =
    ["belt", "breathy", "inhaled", "lip_trill", "spoken", "straight", "trill", "trillo", "vibrato", "vocal_fry"];

/// All 17 of VocalSet's techniques, by the names of their folders.
pub const VOCALSET_ALL_TECHNIQUES: [&str; 17] = [
    "belt",
    "breathy",
    "fast_forte",
    "fast_piano",
    "forte",
    "inhaled",
    "lip_trill",
    "messa",
    "pp",
    "slow_forte",
    "slow_piano",
    "spoken",
    "straight",
    "trill",
    "trillo",
    "vibrato",
    "vocal_fry",
];

/// The sections of HookTheory's clips, as in MARBLE v2.
pub const HOOKTHEORY_SECTIONS: [&str; 7] = ["intro", "verse", "pre-chorus", "chorus", "bridge", "outro", "inst"];

/// The functions of sections that the many labels of Harmonix are mapped to (Wang, Hung and Smith 2022).
pub const HARMONIX_FUNCTIONS: [&str; 7] = ["intro", "verse", "chorus", "bridge", "inst", "outro", "silence"];

/// The 25 classes of chords: major triads from C on, minor triads, and no chord.
pub const CHORDS: [&str; 25] = [
    "C:maj", "Db:maj", "D:maj", "Eb:maj", "E:maj", "F:maj", "Gb:maj", "G:maj", "Ab:maj", "A:maj", "Bb:maj", "B:maj",
    "C:min", "Db:min", "D:min", "Eb:min", "E:min", "F:min", "Gb:min", "G:min", "Ab:min", "A:min", "Bb:min", "B:min",
    "N",
];

/// MUSDB18's stems.
pub const MUSDB18_STEMS: [&str; 4] = ["vocals", "drums", "bass", "other"];

/// Names that [`class_list`] knows, with what they are.
pub const CLASS_LISTS: [(&str, &str); 15] = [
    ("gtzan-genre", "GTZAN, 10 genres"),
    ("key", "24 keys"),
    ("nsynth-instrument", "NSynth, 11 families of instruments"),
    ("pitch", "128 MIDI numbers"),
    ("vocalset-singer", "VocalSet, 20 singers"),
    ("vocalset-technique", "VocalSet, 10 techniques"),
    ("vocalset-technique-17", "VocalSet, all 17 techniques"),
    ("hooktheory-structure", "HookTheory, 7 sections"),
    ("harmonix-structure", "Harmonix, 7 functions of sections"),
    ("chord", "25 chords: major, minor, none"),
    ("mtt", "MagnaTagATune, 50 tags"),
    ("jamendo-top50", "MTG-Jamendo, the 50 most frequent tags"),
    ("jamendo-genre", "MTG-Jamendo, 87 genres"),
    ("jamendo-instrument", "MTG-Jamendo, 40 instruments"),
    ("jamendo-mood-theme", "MTG-Jamendo, 56 moods and themes"),
];

/// The classes of a list by its name in [`CLASS_LISTS`]. Tags of MTG-Jamendo stand without the kind that its files put in
/// front of them: `rock`, not `genre---rock`; see [`without_kind`].
pub fn class_list(name: &str) -> Option<Vec<String>> {
    let owned = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    match name {
        "gtzan-genre" => owned(&GTZAN_GENRES),
        "key" => owned(&KEYS),
        "nsynth-instrument" => owned(&NSYNTH_FAMILIES),
        "pitch" => Some((0..NUM_PITCHES).map(|pitch| pitch.to_string()).collect()),
        "vocalset-singer" => owned(&VOCALSET_SINGERS),
        "vocalset-technique" => owned(&VOCALSET_TECHNIQUES),
        "vocalset-technique-17" => owned(&VOCALSET_ALL_TECHNIQUES),
        "hooktheory-structure" => owned(&HOOKTHEORY_SECTIONS),
        "harmonix-structure" => owned(&HARMONIX_FUNCTIONS),
        "chord" => owned(&CHORDS),
        _ => {
            let labels = LabelSet::builtin(name)?;
            Some(labels.labels().iter().map(|label| label.name().to_owned()).collect())
        }
    }
}

/// A tag without the kind that MTG-Jamendo's files put in front: `genre---rock` is `rock`.
pub fn without_kind(tag: &str) -> &str {
    tag.rsplit_once("---").map_or(tag, |(_, name)| name)
}

/// A key as one of [`KEYS`], of a tonic in any spelling and a mode: `d# minor`, `D# min`, `Ebm`, `Eb minor` are
/// `Eb minor`. `None` for other modes and for what is no key.
pub fn key_class(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let (tonic, mode) = match text.split_once([' ', '\t', ':']) {
        Some((tonic, mode)) => (tonic, mode.trim()),
        None => match text.strip_suffix('m') {
            Some(tonic) => (tonic, "minor"),
            None => (text, "major"),
        },
    };
    let offset = match mode.to_ascii_lowercase().as_str() {
        "major" | "maj" => 0,
        "minor" | "min" | "m" => TONICS.len(),
        _ => return None,
    };
    Some(KEYS[offset + usize::from(pitch_class(tonic)?)])
}

/// What the labels of Harmonix become: the first of these that a label contains, in this order (Wang, Hung and Smith,
/// "To catch a chorus, verse, intro, or anything else", ICASSP 2022).
const HARMONIX_PARTS: [(&str, &str); 26] = [
    ("silence", "silence"),
    ("pre-chorus", "verse"),
    ("prechorus", "verse"),
    ("refrain", "chorus"),
    ("chorus", "chorus"),
    ("theme", "chorus"),
    ("stutter", "chorus"),
    ("verse", "verse"),
    ("rap", "verse"),
    ("section", "verse"),
    ("slow", "verse"),
    ("build", "verse"),
    ("dialog", "verse"),
    ("intro", "intro"),
    ("fadein", "intro"),
    ("opening", "intro"),
    ("bridge", "bridge"),
    ("trans", "bridge"),
    ("out", "outro"),
    ("coda", "outro"),
    ("ending", "outro"),
    ("break", "inst"),
    ("inst", "inst"),
    ("interlude", "inst"),
    ("impro", "inst"),
    ("solo", "inst"),
];

/// The function of a section by its label in Harmonix: the first part of a table that the label contains, and `inst` for
/// all others. `end` marks the end of a song and is no section.
pub fn harmonix_function(label: &str) -> Option<&'static str> {
    let label = label.trim().to_lowercase();
    if label == "end" {
        return None;
    }
    Some(HARMONIX_PARTS.iter().find(|(part, _)| label.contains(part)).map_or("inst", |(_, function)| function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_its_size_and_no_class_twice() {
        let sizes = [10, 24, 11, 128, 20, 10, 17, 7, 7, 25, 50, 50, 87, 40, 56];
        for ((name, what), size) in CLASS_LISTS.into_iter().zip(sizes) {
            let mut classes = class_list(name).unwrap();
            assert_eq!(classes.len(), size, "{name}: {what}");
            classes.sort();
            classes.dedup();
            assert_eq!(classes.len(), size, "{name}");
        }
        assert_eq!(class_list("nope"), None);
        assert!(VOCALSET_TECHNIQUES.iter().all(|technique| VOCALSET_ALL_TECHNIQUES.contains(technique)));
    }

    #[test]
    fn keys_in_any_spelling_are_one_of_24() {
        for (text, expected) in [
            ("C major", Some("C major")),
            ("c# minor", Some("Db minor")),
            ("D# min", Some("Eb minor")),
            ("F#\tmajor", Some("Gb major")),
            ("Cb:maj", Some("B major")),
            ("B# minor", Some("C minor")),
            ("Am", Some("A minor")),
            ("Bbm", Some("Bb minor")),
            ("G", Some("G major")),
            ("D dorian", None),
            ("H major", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(key_class(text), expected, "{text}");
        }
        for (index, key) in KEYS.into_iter().enumerate() {
            assert_eq!(key_class(key), Some(KEYS[index]));
        }
    }

    #[test]
    fn harmonix_labels_have_a_function() {
        for (label, expected) in [
            ("intro", Some("intro")),
            ("prechorus", Some("verse")),
            ("altchorus", Some("chorus")),
            ("instchorus", Some("chorus")),
            ("guitarsolo", Some("inst")),
            ("fadeout", Some("outro")),
            ("Breakdown", Some("inst")),
            ("gtr", Some("inst")),
            ("silence", Some("silence")),
            ("transition", Some("bridge")),
            ("end", None),
        ] {
            assert_eq!(harmonix_function(label), expected, "{label}");
        }
        assert!(HARMONIX_PARTS.iter().all(|(_, function)| HARMONIX_FUNCTIONS.contains(function)));
    }

    #[test]
    fn kinds_of_tags_are_left_out() {
        assert_eq!(without_kind("mood/theme---film"), "film");
        assert_eq!(without_kind("rock"), "rock");
    }
}
