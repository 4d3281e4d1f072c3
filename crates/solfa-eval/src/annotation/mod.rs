//! Annotations as text: times, labelled intervals, notes, keys, tempi and melodies, as `mir_eval` and the data sets write
//! them.
//!
//! This module must not know: data sets, tasks.
