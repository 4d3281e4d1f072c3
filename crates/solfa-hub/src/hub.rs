//! The Hugging Face hub: its cache on disk, and downloads into it.
