//! Hand-made features, each an [`Encoder`](crate::encoder::Encoder) in its own right.
