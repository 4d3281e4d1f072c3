//! Methods of pre-training, one file each: what learns, what it is shown, and what it is asked.
//!
//! | recipe | paper |
//! |---|---|
//! | [`musicfm`] | masked prediction of random-projection tokens (Won et al. 2023) |
//!
//! This module must not know: the loop, files, the command line.

pub mod musicfm;
