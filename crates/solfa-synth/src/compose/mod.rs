//! The composer: from a seed to a piece of which all is known.
//!
//! A piece has a style, a key and a tempo; a form of sections; for every kind of section chords and motifs, which come
//! back when the section does; and parts that play them: a melody, chords, a second chordal part, a bass, drums. Of two
//! pieces about half comes to an end within the time, and half is cut there, like an excerpt.
//!
//! What depends on what: the style is drawn independently of the key, and instruments depend on the style in so far as
//! each style prefers some; a fifth of them is drawn from all that can play the role. Tempo, meter and drums depend on
//! the style. Nothing depends on the key but the pitches.
//!
//! Everything stays in one key, so a piece has one. Chords are exact: no part plays a chord before or after its time but
//! by the few milliseconds of human hands.

mod drums;
mod form;
mod harmony;
mod melody;
mod orchestration;
mod piece;
mod plan;
mod players;
mod styles;
mod theory;
mod timing;
mod voicing;

#[cfg(test)]
mod tests;

pub use piece::{ComposeError, MAXIMUM_PIECE_SECONDS, MINIMUM_PIECE_SECONDS, Piece, Request, compose};
pub use styles::Style;
pub use theory::{Key, Mode};
