//! From activations to events: beats and downbeats by a dynamic Bayesian network, peaks, smoothed classes.
//!
//! This module must not know: what gave the activations, files, scores.
