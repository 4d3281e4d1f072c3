//! A model's name to its files: the catalogue of known models, the Hugging Face cache, downloads.
//!
//! ```no_run
//! use solfa_hub::hub::Hub;
//! use solfa_hub::reference::ModelReference;
//! use solfa_hub::settings::HubSettings;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reference: ModelReference = "mert-v1-95m".parse()?;
//! let home = std::env::home_dir();
//! let settings = HubSettings::from_variables(|name| std::env::var(name).ok(), home.as_deref())?;
//! let checkpoint = Hub::new(settings)?.fetch(&reference.files()?, &mut ())?;
//! println!("{}", checkpoint.display());
//! # Ok(())
//! # }
//! ```
//!
//! This crate reads no environment variable and prints nothing: settings come from a function that looks variables up,
//! progress goes to a trait. It knows files by their names and hashes, not by what is in them.

pub mod catalogue;
pub mod error;
pub mod hub;
pub mod progress;
pub mod reference;
pub mod settings;
pub mod testing;
pub mod wanted;

mod cache;
mod client;
mod download;
