//! A checkpoint of an untrained ViT-1D at the paper's size, to see how one is written and how fast it runs.
//!
//! `cargo run --release -p solfa-learn --example untrained_vit1d -- FOLDER [rotary]`

use std::error::Error;
use std::path::Path;

use solfa_learn::checkpoint::{Vit1dEncoderConfig, save_vit1d};
use solfa_learn::device::DeviceChoice;
use solfa_learn::model::{Vit1d, Vit1dConfig};
use solfa_signal::features::MelConfig;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, network) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [folder] => (Path::new(*folder), Vit1dConfig::paper()),
        [folder, "rotary"] => (Path::new(*folder), Vit1dConfig::rotary()),
        _ => return Err("expected FOLDER [rotary]".into()),
    };
    let weights = Vit1d::new(&network, &DeviceChoice::Cpu.open()?);
    let config = Vit1dEncoderConfig { mel: MelConfig::multi_view(), mel_mean: 0.0, mel_deviation: 1.0, network };
    save_vit1d(folder, &config, &weights)?;
    Ok(())
}
