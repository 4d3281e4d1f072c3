//! Runs an encoder over a recording of any length.
