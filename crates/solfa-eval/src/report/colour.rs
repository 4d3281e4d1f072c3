//! The colours of a report: one ramp from little to much, on light and on dark ground, and a line for each encoder.
//!
//! The ramp goes by lightness in one hue, which every kind of colour vision sees and which survives a grey print. What is
//! marked is orange, the hue that is furthest from it for all. Lines differ by hue, lightness and marker.

use std::fmt::Write as _;

/// Steps of the ramp that cells are coloured in.
pub(super) const STEPS: usize = 21;

type Rgb = [u8; 3];

const ON_LIGHT: [Rgb; 7] = [
    [0xf3, 0xf6, 0xfa],
    [0xd5, 0xe3, 0xf0],
    [0xa8, 0xc7, 0xe1],
    [0x72, 0xa3, 0xcc],
    [0x41, 0x7b, 0xb0],
    [0x20, 0x55, 0x8c],
    [0x0d, 0x30, 0x5e],
];

const ON_DARK: [Rgb; 7] = [
    [0x18, 0x1f, 0x2a],
    [0x1d, 0x30, 0x47],
    [0x23, 0x48, 0x6d],
    [0x2f, 0x69, 0x9a],
    [0x4e, 0x91, 0xc5],
    [0x88, 0xbb, 0xe2],
    [0xd2, 0xe7, 0xf8],
];

const INK: Rgb = [0x02, 0x03, 0x05];
const PAPER: Rgb = [0xff, 0xff, 0xff];

/// Encoders' colours on light and on dark ground; at least 4.5 to 1 against the ground.
const LINES: [(&str, &str); 8] = [
    ("#0b5fa5", "#63b0f2"),
    ("#b8420b", "#ff9a5c"),
    ("#0a7558", "#3fcfa4"),
    ("#7d3f98", "#c99ae6"),
    ("#8a6000", "#e2b93b"),
    ("#a62a63", "#f58bb8"),
    ("#0e7482", "#58cbd8"),
    ("#4b5563", "#aab4c0"),
];

/// How many encoders have a colour of their own.
pub(super) const NUM_LINES: usize = LINES.len();

/// Which step a share from 0 to 1 is.
pub(super) fn step(share: f64) -> usize {
    if share.is_finite() { (share.clamp(0.0, 1.0) * (STEPS - 1) as f64).round() as usize } else { 0 }
}

/// The ramp of pictures, 256 colours.
pub(super) fn palette() -> Vec<Rgb> {
    (0..256).map(|index| mix(&ON_LIGHT, f64::from(index) / 255.0)).collect()
}

/// The colours as CSS variables: `--h0` ... of the ramp, `--t0` ... of text on it, `--e0` ... of encoders.
pub(super) fn variables(is_dark: bool) -> String {
    let ramp = if is_dark { &ON_DARK } else { &ON_LIGHT };
    let mut css = String::new();
    for index in 0..STEPS {
        let colour = mix(ramp, index as f64 / (STEPS - 1) as f64);
        let text = if contrast(colour, INK) >= contrast(colour, PAPER) { INK } else { PAPER };
        let _ = write!(css, "--h{index}:{};--t{index}:{};", hex(colour), hex(text));
    }
    for (index, (light, dark)) in LINES.iter().enumerate() {
        let _ = write!(css, "--e{index}:{};", if is_dark { dark } else { light });
    }
    css
}

/// The classes that use the variables.
pub(super) fn classes() -> String {
    let mut css = String::new();
    for index in 0..STEPS {
        let _ = write!(css, ".h{index}{{background:var(--h{index});color:var(--t{index});fill:var(--h{index})}}");
        let _ = write!(css, ".t{index}{{fill:var(--t{index})}}");
    }
    for index in 0..NUM_LINES {
        let _ = write!(css, ".e{index}{{--c:var(--e{index})}}");
    }
    css
}

fn mix(ramp: &[Rgb; 7], share: f64) -> Rgb {
    let place = share.clamp(0.0, 1.0) * (ramp.len() - 1) as f64;
    let first = (place.floor() as usize).min(ramp.len() - 2);
    let weight = place - first as f64;
    let channel = |index: usize| {
        (f64::from(ramp[first][index]) * (1.0 - weight) + f64::from(ramp[first + 1][index]) * weight).round()
    };
    [channel(0) as u8, channel(1) as u8, channel(2) as u8]
}

fn hex(colour: Rgb) -> String {
    format!("#{:02x}{:02x}{:02x}", colour[0], colour[1], colour[2])
}

/// WCAG 2's contrast between two colours, from 1 to 21.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let luminance = |colour: Rgb| {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_every_step_can_be_read() {
        for ramp in [&ON_LIGHT, &ON_DARK] {
            for index in 0..STEPS {
                let colour = mix(ramp, index as f64 / (STEPS - 1) as f64);
                assert!(contrast(colour, INK).max(contrast(colour, PAPER)) >= 4.5, "step {index}: {}", hex(colour));
            }
        }
    }

    #[test]
    fn lightness_goes_one_way() {
        for (ramp, against) in [(&ON_LIGHT, PAPER), (&ON_DARK, INK)] {
            let contrasts: Vec<f64> =
                (0..STEPS).map(|index| contrast(mix(ramp, index as f64 / 20.0), against)).collect();
            assert!(contrasts.windows(2).all(|pair| pair[0] < pair[1]), "{contrasts:?}");
        }
    }

    #[test]
    fn lines_stand_out_from_the_ground() {
        let parse =
            |text: &str| -> Rgb { [1, 3, 5].map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()) };
        for (light, dark) in LINES {
            assert!(contrast(parse(light), PAPER) >= 4.5, "{light}");
            assert!(contrast(parse(dark), [0x11, 0x15, 0x1b]) >= 4.5, "{dark}");
        }
    }
}
