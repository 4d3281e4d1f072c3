//! EmoMusic: the excerpts and the folder of annotations.

use super::sound::{mix, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const NUMBERS: Case = Case {
    task: "emomusic",
    kind: None,
    import: "emomusic",
    lay_out: numbers,
    rows: [16, 6, 8],
    num_missing: 0,
    num_scored: 8,
    probe: "--model mel --clip 1",
    above: 0.5,
};

/// Artists that the hash of the name puts into the training and the validation split.
const ARTISTS: [&str; 2] = ["The Beatles", "D"];

/// Two chords: in decibels, one is as loud as arousal says, the other as valence says.
const CHORDS: [[u8; 3]; 2] = [[40, 45, 50], [86, 91, 96]];

fn numbers(place: &Workplace) {
    let mut info =
        "song_id,file_name,Artist,Song title,start of the segment (min.sec),end of the segment (min.sec),Genre,\
                    Mediaeval 2013 set\n"
            .to_owned();
    let mut annotations = "song_id,mean_arousal,std_arousal,mean_valence,std_valence\n".to_owned();
    for (place_of_song, id) in (2..32).enumerate() {
        let (artist, set) = match place_of_song {
            0..16 => (ARTISTS[0], "development"),
            16..22 => (ARTISTS[1], "development"),
            _ => ("Someone", "evaluation"),
        };
        let (arousal, valence) = ((id * 7 % 11) as f32 / 10.0, (id * 5 % 9) as f32 / 8.0);
        info += &format!("{id},{id}.mp3,{artist}\t,\"A song, {id}\",1.22,2.07,Rock,{set}\t\n");
        annotations += &format!("{id},{},1.2,{},1.1\n", 3.0 + 3.0 * arousal, 2.0 + 5.0 * valence);
        let loudness = |value: f32| 0.1 * 10.0_f32.powf(value - 1.0);
        let chords = CHORDS.into_iter().zip([loudness(arousal), loudness(valence)]);
        let notes: Vec<(u8, f32)> =
            chords.flat_map(|(chord, loudness)| chord.into_iter().map(move |pitch| (pitch, loudness))).collect();
        write(place, &format!("{SET}/clips_45seconds/{id}.mp3"), &mix(&notes, 1.0, id));
    }
    place.write(&format!("{SET}/annotations/songs_info.csv"), info);
    place.write(&format!("{SET}/annotations/static_annotations.csv"), annotations);
}
