//! Scores of two annotations by the names that `mir_eval` gives them: what `solfa score` prints.
