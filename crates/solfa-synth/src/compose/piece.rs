//! One piece: everything that is decided, in the order in which it is.

use super::drums::{Drummer, Hit};
use super::form::{Section, SectionKind, form};
use super::harmony::{Cadence, Slot, fill, progression, tonic};
use super::melody::{melody, second_voice};
use super::orchestration::{Band, Role, Texture, hands, melody_center};
use super::plan::{Passage, StepNote, on_grid};
use super::players::{Comper, bass};
use super::styles::{Comping, Meter, Profile, Style};
use super::theory::{Key, Mode};
use super::timing::{Clock, Hand, Pulse};
use crate::dice::Dice;
use crate::events::{Instrument, Note, Part, Performance};
use crate::labels::{ChordSpan, Labels, MelodyNote, Segment, tempo_of_beats};

/// Shortest piece in seconds: a few bars of any tempo.
pub const MINIMUM_PIECE_SECONDS: f64 = 8.0;
/// Longest piece in seconds.
pub const MAXIMUM_PIECE_SECONDS: f64 = 600.0;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Decides everything that is not asked for.
    pub seed: u64,
    /// The style, or any.
    pub style: Option<Style>,
    /// The key, or any.
    pub key: Option<Key>,
    /// Length in seconds.
    pub seconds: f64,
}

/// A piece and all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// What is played.
    pub performance: Performance,
    /// What is said of it.
    pub labels: Labels,
    /// Its style.
    pub style: Style,
    /// Its key.
    pub key: Key,
}

/// Why there is no piece.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ComposeError {
    /// Its length cannot be.
    #[error(
        "a piece of {found} seconds cannot be composed: expected {MINIMUM_PIECE_SECONDS} to {MAXIMUM_PIECE_SECONDS}"
    )]
    Seconds {
        /// The length asked for.
        found: f64,
    },
}

/// Composes a piece. The same request gives the same piece on every machine.
///
/// # Errors
/// A length that no piece has.
pub fn compose(request: &Request) -> Result<Piece, ComposeError> {
    let Request { seed, style, key, seconds } = *request;
    if !(MINIMUM_PIECE_SECONDS..=MAXIMUM_PIECE_SECONDS).contains(&seconds) {
        return Err(ComposeError::Seconds { found: seconds });
    }
    let mut dice = Dice::new(seed, "piece");
    let drawn_style = *dice.pick(&Style::ALL);
    let drawn_mode = if dice.chance(0.5) { Mode::Major } else { Mode::Minor };
    let drawn_key = Key { tonic: dice.below(12) as u8, mode: drawn_mode };
    let (style, key) = (style.unwrap_or(drawn_style), key.unwrap_or(drawn_key));
    let profile = style.profile();
    let meter = *dice.pick(profile.meters);
    let mut tempo = dice.range(profile.tempo.0, profile.tempo.1);
    if meter == Meter::SixEight {
        // Two dotted quarters a bar: beats are longer than quarters.
        tempo = (0.72 * tempo).max(50.0);
    }
    let bar_seconds = 60.0 / tempo * meter.beats() as f64;
    let start = dice.range(0.05, 0.6);
    let is_closed = dice.chance(0.5) || seconds < 12.0;
    let num_bars = if is_closed {
        (((seconds - start - 1.2) / bar_seconds).floor() as usize).max(2)
    } else {
        ((seconds - start) / bar_seconds).ceil() as usize + 1
    };
    let slows = is_closed && profile.drift > 0.005 && dice.chance(0.5);
    let slows = if slows { meter.beats() as usize } else { 0 };
    let pulse = Pulse { tempo, start, num_beats: num_bars * meter.beats() as usize, drift: profile.drift, slows };
    let clock = Clock::new(&mut Dice::new(seed, "clock"), meter, pulse, profile.swing.as_ref());

    let sections = form(&mut Dice::new(seed, "form"), num_bars, is_closed);
    let song = Song { seed, key, profile, meter, passages: Vec::new() };
    let song = song.with_harmony(&sections, is_closed);
    let band = Band::new(&mut Dice::new(seed, "band"), style, &profile.orchestra);
    let (tracks, hits) = song.play(&band);

    let mut performer =
        Performer { dice: Dice::new(seed, "hands"), clock: &clock, seconds, is_steady: profile.drift == 0.0 };
    let (lead_notes, parts) = performer.perform(&tracks, &hits, &band);
    let performance = Performance { parts, seconds, seed };
    let mut labels = song.labels(&clock, &lead_notes, style, seconds);
    labels.add_notes(&performance);
    Ok(Piece { performance, labels, style, key })
}

/// The notes of a role on the grid, with the program that plays them.
struct Track {
    role: Role,
    program: u8,
    notes: Vec<StepNote>,
}

struct Song {
    seed: u64,
    key: Key,
    profile: &'static Profile,
    meter: Meter,
    passages: Vec<Passage>,
}

impl Song {
    fn with_harmony(mut self, sections: &[Section], is_closed: bool) -> Self {
        let mut chords: Vec<Vec<Slot>> = Vec::new();
        for (place, section) in sections.iter().enumerate() {
            // Intro and outro borrow the chords of the verse or the chorus as often as not.
            let mut kind = section.kind;
            let mut choice = Dice::new(self.seed, &format!("borrowed {}", kind.name()));
            if matches!(kind, SectionKind::Intro | SectionKind::Outro | SectionKind::Instrumental) && choice.chance(0.6)
            {
                kind = if choice.chance(0.5) { SectionKind::Verse } else { SectionKind::Chorus };
            }
            let mut dice = Dice::new(self.seed, &format!("harmony {}", kind.name()));
            let slots = progression(&mut dice, self.key, &self.profile.language, section.num_bars.max(4));
            let is_end = place + 1 == sections.len();
            let cadence = if is_end && is_closed {
                Cadence::Full
            } else if section.kind != SectionKind::Intro && dice.chance(0.2) {
                Cadence::Half
            } else {
                Cadence::Open
            };
            chords.push(fill(self.key, &slots, section.num_bars, cadence));
        }
        for (place, &section) in sections.iter().enumerate() {
            let is_end = place + 1 == sections.len();
            let next = chords.get(place + 1).and_then(|slots| slots.first()).map_or(tonic(self.key), |slot| slot.0);
            let mut passage = Passage {
                section,
                meter: self.meter,
                chords: Vec::new(),
                next,
                intensity: 0.0,
                is_final: is_end && is_closed,
            };
            passage.chords = on_grid(&chords[place], self.meter, passage.start());
            passage.intensity = self.texture(section).intensity;
            self.passages.push(passage);
        }
        self
    }

    /// The texture of a section: that of its kind, changed a little when it comes back.
    fn texture(&self, section: Section) -> Texture {
        let name = section.kind.name();
        let mut texture = Texture::new(&mut Dice::new(self.seed, &format!("texture {name}")), section.kind);
        let mut change = Dice::new(self.seed, &format!("texture {name} {}", section.occurrence));
        if section.occurrence > 0 && change.chance(0.5) {
            texture.second |= change.chance(0.5);
            texture.harmony |= change.chance(0.3);
            texture.intensity = (texture.intensity + change.range(0.0, 0.15)).min(1.0);
        }
        texture
    }

    fn play(&self, band: &Band) -> (Vec<Track>, Vec<(i64, Hit)>) {
        let profile = self.profile;
        let mut dice = Dice::new(self.seed, "players");
        let hands_of_chords = hands(&mut dice, band.chords, false);
        let hands_of_second = hands(&mut dice, band.second, true);
        let is_drummed = dice.chance(profile.drummed);
        let is_busy = profile.melody.grid == 1;
        let mut drummers: Vec<(SectionKind, Option<Drummer>)> = Vec::new();
        let new = |role, program| Track { role, program, notes: Vec::new() };
        let mut lead = new(Role::Lead, band.lead);
        let mut solo = new(Role::Solo, band.solo);
        let mut harmony = new(Role::Harmony, band.harmony);
        let mut chords = new(Role::Chords, band.chords);
        let mut second = new(Role::Second, band.second);
        let mut low = new(Role::Bass, band.bass);
        let mut hits = Vec::new();
        let (mut comper, mut second_comper, mut last_bass) = (Comper::default(), Comper::default(), 38);
        for passage in &self.passages {
            let texture = self.texture(passage.section);
            let name = passage.section.kind.name();
            let of = |purpose: &str| Dice::new(self.seed, &format!("{purpose} {name}"));
            let once = |purpose: &str| Dice::new(self.seed, &format!("{purpose} {}", passage.section.first_bar));
            // Verse and chorus differ in how they are accompanied as often as not.
            let mut pattern = if dice.chance(0.5) { of("pattern") } else { Dice::new(self.seed, "pattern") };
            let comping = fitting(&mut pattern, profile.chords, self.meter);
            let second_comping = fitting(&mut pattern, profile.second, self.meter);
            let lines: Vec<_> = profile.bass.iter().copied().filter(|line| line.fits(self.meter)).collect();
            let line = *pattern.pick(&lines);
            if texture.lead || texture.solo {
                let track = if texture.solo { &mut solo } else { &mut lead };
                let center = melody_center(track.program) + of("center").integer(-2, 2);
                let notes = melody(&mut of("melody"), &mut once("melody"), passage, &profile.melody, center);
                if texture.harmony {
                    harmony.notes.extend(second_voice(&notes, passage));
                }
                track.notes.extend(notes);
            }
            if texture.chords {
                chords.notes.extend(comper.play(&mut of("chords"), passage, comping, hands_of_chords));
            }
            if texture.second {
                second.notes.extend(second_comper.play(&mut of("second"), passage, second_comping, hands_of_second));
            }
            if texture.bass {
                low.notes.extend(bass(&mut once("bass"), passage, line, &mut last_bass));
            }
            if texture.drums && is_drummed {
                let kind = if of("drums").chance(0.6) { SectionKind::Verse } else { passage.section.kind };
                if !drummers.iter().any(|(other, _)| *other == kind) {
                    let mut of_kind = Dice::new(self.seed, &format!("drummer {}", kind.name()));
                    drummers.push((kind, Drummer::new(&mut of_kind, profile.drums, self.meter, is_busy)));
                }
                let drummer =
                    drummers.iter().find(|(other, _)| *other == kind).and_then(|(_, drummer)| drummer.as_ref());
                if let Some(drummer) = drummer {
                    hits.extend(self.drum(drummer, passage, &mut once("drums")));
                }
            }
        }
        let mut tracks = vec![lead, solo, harmony];
        tracks.extend(in_voices(chords, &band.voices));
        tracks.extend([second, low]);
        tracks.retain(|track| !track.notes.is_empty());
        (tracks, hits)
    }

    fn drum(&self, drummer: &Drummer, passage: &Passage, dice: &mut Dice) -> Vec<(i64, Hit)> {
        let num_bars = passage.section.num_bars;
        let mut all = Vec::new();
        for (bar, (start, is_final)) in passage.bars().enumerate() {
            let is_last = bar + 1 == num_bars && num_bars > 1;
            let mut hits = drummer.bar(dice, passage.intensity, bar == 0, is_last && !is_final);
            if is_final {
                hits = vec![(0, super::drums::KICK, 0.9), (0, 49, 0.8)];
            }
            all.extend(hits.into_iter().map(|hit| (start, hit)));
        }
        all
    }

    fn labels(&self, clock: &Clock, lead: &[Note], style: Style, seconds: f64) -> Labels {
        let steps = self.meter.steps();
        let within = |time: &f64| *time < seconds;
        let beats: Vec<f64> = clock.beats().iter().copied().filter(within).collect();
        let downbeats: Vec<f64> =
            clock.beats().iter().step_by(self.meter.beats() as usize).copied().filter(within).collect();
        let end = self.passages.last().map_or(0, Passage::end);
        let mut chords = vec![ChordSpan { start: 0.0, end: clock.seconds(0.0), chord: "N".into() }];
        for span in self.passages.iter().flat_map(|passage| &passage.chords) {
            // The last chord rings until the sound ends.
            let until = if span.end >= end { seconds } else { clock.seconds(span.end as f64) };
            let (start, until, chord) = (clock.seconds(span.start as f64), until.min(seconds), span.chord.to_string());
            match chords.last_mut() {
                Some(last) if last.chord == chord => last.end = until,
                _ if start < seconds => chords.push(ChordSpan { start, end: until, chord }),
                _ => (),
            }
        }
        let mut segments: Vec<Segment> = Vec::new();
        for Passage { section, .. } in &self.passages {
            let last_bar = section.first_bar + section.num_bars;
            let bar_seconds = |bar: usize| {
                if bar as i64 * steps >= end { seconds } else { clock.seconds((bar as i64 * steps) as f64) }
            };
            let start = if section.first_bar == 0 { 0.0 } else { bar_seconds(section.first_bar) };
            if start < seconds {
                let end = bar_seconds(last_bar).min(seconds);
                segments.push(Segment { start, end, label: section.kind.name().to_owned() });
            }
        }
        Labels {
            style: Some(style.name().to_owned()),
            key: Some(self.key.name()),
            chords,
            tempo: tempo_of_beats(&beats),
            beats,
            downbeats,
            meter: Some(self.meter.name().to_owned()),
            segments,
            melody: one_at_a_time(lead),
            ..Labels::default()
        }
    }
}

/// One of the ways to play chords that the meter has a pattern for.
fn fitting(dice: &mut Dice, choices: &[Comping], meter: Meter) -> Comping {
    let fits = |comping: &&Comping| match comping {
        Comping::Pattern(pattern) => pattern.len() as i64 == meter.steps(),
        Comping::Arpeggio(_) | Comping::Sustained => true,
    };
    let fitting: Vec<Comping> = choices.iter().filter(fits).copied().collect();
    if fitting.is_empty() { Comping::Sustained } else { *dice.pick(&fitting) }
}

/// Chords of several instruments, a voice each from below; as they are where there is one instrument.
fn in_voices(chords: Track, programs: &[u8]) -> Vec<Track> {
    if programs.is_empty() {
        return vec![chords];
    }
    let new = |&program: &u8| Track { role: Role::Chords, program, notes: Vec::new() };
    let mut tracks: Vec<Track> = programs.iter().map(new).collect();
    let mut notes = chords.notes;
    notes.sort_by_key(|note| (note.start, note.pitch));
    let (mut voice, mut last_start) = (0, i64::MIN);
    for note in notes {
        voice = if note.start == last_start { voice + 1 } else { 0 };
        last_start = note.start;
        tracks[voice % programs.len()].notes.push(note);
    }
    tracks
}

/// A melody in which each note ends before the next begins.
fn one_at_a_time(notes: &[Note]) -> Vec<MelodyNote> {
    let mut melody: Vec<MelodyNote> = Vec::with_capacity(notes.len());
    for note in notes {
        if let Some(last) = melody.last_mut() {
            last.offset = last.offset.min(note.onset);
        }
        melody.push(MelodyNote { onset: note.onset, offset: note.offset, pitch: note.pitch });
    }
    melody.retain(|note| note.offset > note.onset);
    melody
}

/// Gives notes their times and velocities.
struct Performer<'clock> {
    dice: Dice,
    clock: &'clock Clock,
    seconds: f64,
    /// A machine plays.
    is_steady: bool,
}

impl Performer<'_> {
    /// All parts, and the notes of the melody in order.
    fn perform(&mut self, tracks: &[Track], hits: &[(i64, Hit)], band: &Band) -> (Vec<Note>, Vec<Part>) {
        let mut melody = Vec::new();
        let mut parts = Vec::new();
        for track in tracks {
            let notes = self.notes(track);
            if matches!(track.role, Role::Lead | Role::Solo) {
                melody.extend_from_slice(&notes);
            }
            parts.push(self.part(track.role, Instrument::Program(track.program), notes));
        }
        let drums = self.drums(hits);
        parts.push(self.part(Role::Drums, Instrument::Drums(band.kit), drums));
        parts.retain(|part| !part.notes.is_empty());
        melody.sort_by(|one: &Note, other| one.onset.total_cmp(&other.onset));
        (melody, parts)
    }

    fn part(&mut self, role: Role, instrument: Instrument, notes: Vec<Note>) -> Part {
        let dice = &mut self.dice;
        let (name, volume, width, reverb) = match role {
            Role::Lead => ("lead", 0.85, 0.15, (0.1, 0.4)),
            Role::Solo => ("solo", 0.85, 0.3, (0.1, 0.4)),
            Role::Harmony => ("harmony", 0.55, 0.4, (0.1, 0.4)),
            Role::Chords => ("chords", 0.62, 0.6, (0.08, 0.35)),
            Role::Second => ("second", 0.48, 0.7, (0.1, 0.45)),
            Role::Bass => ("bass", 0.8, 0.08, (0.0, 0.08)),
            Role::Drums => ("drums", 0.8, 0.0, (0.02, 0.2)),
        };
        let volume = (volume * dice.range(0.75, 1.2)).min(1.0);
        let pan = dice.range(-width, width);
        Part { name: name.to_owned(), instrument, pan, volume, reverb: dice.range(reverb.0, reverb.1), notes }
    }

    fn hand(&mut self, role: Role, program: u8) -> Hand {
        let unsteady = match role {
            Role::Drums => 0.003,
            Role::Bass => 0.005,
            Role::Chords | Role::Second => 0.006,
            Role::Lead | Role::Solo | Role::Harmony => 0.009,
        };
        let strum = if matches!(program, 24..=31 | 46 | 104..=107) { self.dice.range(0.002, 0.014) } else { 0.0005 };
        let scale = if self.is_steady { 0.2 } else { 1.0 };
        let behind = scale * self.dice.range(-0.004, 0.008);
        Hand { behind, unsteady: scale * unsteady, uneven: if self.is_steady { 0.03 } else { 0.06 }, strum }
    }

    fn notes(&mut self, track: &Track) -> Vec<Note> {
        let hand = self.hand(track.role, track.program);
        let mut notes = Vec::with_capacity(track.notes.len());
        let (mut place_in_chord, mut chord, mut last_start) = (0, 0.0, i64::MIN);
        for note in &track.notes {
            if note.start != last_start {
                (place_in_chord, last_start) = (0, note.start);
                chord = hand.behind + hand.unsteady * self.dice.normal();
            }
            let onset = self.clock.seconds(note.start as f64) + chord + hand.strum * f64::from(place_in_chord);
            place_in_chord += 1;
            let offset = self.clock.seconds(note.start as f64 + note.length) + chord;
            self.push(&mut notes, onset, offset, note.pitch, note.loudness, hand.uneven);
        }
        notes.sort_by(|one, other| one.onset.total_cmp(&other.onset).then(one.pitch.cmp(&other.pitch)));
        notes
    }

    fn drums(&mut self, hits: &[(i64, Hit)]) -> Vec<Note> {
        let hand = self.hand(Role::Drums, 0);
        let mut notes = Vec::with_capacity(hits.len());
        for &(bar, (step, drum, loudness)) in hits {
            let onset = self.clock.seconds((bar + step) as f64) + hand.behind + hand.unsteady * self.dice.normal();
            self.push(&mut notes, onset, onset + 0.12, i32::from(drum), loudness, hand.uneven);
        }
        notes.sort_by(|one, other| one.onset.total_cmp(&other.onset).then(one.pitch.cmp(&other.pitch)));
        notes
    }

    fn push(&mut self, notes: &mut Vec<Note>, onset: f64, offset: f64, pitch: i32, loudness: f64, uneven: f64) {
        let velocity = 127.0 * (loudness * (1.0 + uneven * self.dice.normal())).clamp(0.12, 1.0);
        let onset = onset.max(0.0);
        let offset = offset.max(onset + 0.04).min(self.seconds);
        // A piece that is cut has no notes after its end, and none that is too short to be heard.
        if onset + 0.03 < self.seconds && offset > onset {
            notes.push(Note { onset, offset, pitch: pitch.clamp(12, 115) as u8, velocity: velocity as u8 });
        }
    }
}
