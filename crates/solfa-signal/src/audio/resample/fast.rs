//! Resampling by FFT, through rubato.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::{AudioError, Converter, Ratio};

/// The shorter side of an FFT block has at least this many samples: the filter is as long as a block, and a longer one
/// passes more of the highest frequencies. At 2,048 the cutoff is above 0.99 of the Nyquist frequency.
const MINIMUM_BLOCK_SAMPLES: usize = 2_048;

/// The longer side of an FFT block has at most this many samples, which bounds memory to some tens of megabytes.
const MAXIMUM_BLOCK_SAMPLES: u64 = 1 << 19;

/// A conversion by FFT under way.
pub(super) struct FastConverter {
    ratio: Ratio,
    fft: Fft<f32>,
    /// Input that does not fill a block yet.
    waiting: Vec<f32>,
    /// One converted block.
    converted: Vec<f32>,
    /// Output samples still to drop: the filter's delay.
    delay: usize,
    num_input: u64,
    num_output: u64,
}

impl FastConverter {
    pub(super) fn new(ratio: Ratio) -> Result<Self, AudioError> {
        // An even number of cycles makes both block sizes even, and the filter's delay, half a block, a whole number of
        // samples on either side.
        let cycles = MINIMUM_BLOCK_SAMPLES.div_ceil(ratio.input.min(ratio.output)).next_multiple_of(2);
        let longer = cycles as u64 * ratio.input.max(ratio.output) as u64;
        if longer > MAXIMUM_BLOCK_SAMPLES {
            return Err(ratio.error(format!(
                "in lowest terms that is {} to {}, which takes blocks of {longer} samples (at most \
                 {MAXIMUM_BLOCK_SAMPLES}): convert to a usual rate first",
                ratio.input, ratio.output
            )));
        }
        let block = cycles * ratio.input;
        let fft = Fft::new_custom(
            ratio.input,
            ratio.output,
            block,
            1,
            1,
            rubato::WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|error| ratio.error(error.to_string()))?;
        Ok(Self {
            ratio,
            waiting: Vec::with_capacity(block),
            converted: vec![0.0; fft.fft_size_out()],
            delay: fft.output_delay(),
            fft,
            num_input: 0,
            num_output: 0,
        })
    }

    /// Converts the one block that is waiting.
    fn convert_block(&mut self, output: &mut Vec<f32>) -> Result<(), AudioError> {
        let ratio = self.ratio;
        let (num_waiting, num_converted) = (self.waiting.len(), self.converted.len());
        let input =
            SequentialSlice::new(&self.waiting, 1, num_waiting).map_err(|error| ratio.error(error.to_string()))?;
        let mut converted = SequentialSlice::new_mut(&mut self.converted, 1, num_converted)
            .map_err(|error| ratio.error(error.to_string()))?;
        self.fft.process_into_buffer(&input, &mut converted, None).map_err(|error| ratio.error(error.to_string()))?;
        self.waiting.clear();
        let dropped = self.delay.min(num_converted);
        self.delay -= dropped;
        self.num_output += (num_converted - dropped) as u64;
        output.extend_from_slice(&self.converted[dropped..]);
        Ok(())
    }
}

impl Converter for FastConverter {
    fn push(&mut self, mut input: &[f32], output: &mut Vec<f32>) -> Result<(), AudioError> {
        self.num_input += input.len() as u64;
        while !input.is_empty() {
            let missing = self.fft.fft_size_in() - self.waiting.len();
            let (taken, rest) = input.split_at(missing.min(input.len()));
            self.waiting.extend_from_slice(taken);
            input = rest;
            if self.waiting.len() == self.fft.fft_size_in() {
                self.convert_block(output)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, output: &mut Vec<f32>) -> Result<(), AudioError> {
        let end = self.ratio.output_samples(self.num_input);
        while self.num_output < end {
            self.waiting.resize(self.fft.fft_size_in(), 0.0);
            self.convert_block(output)?;
        }
        // Whole blocks of input never give more than the recording's length, so what is too much came just now.
        output.truncate(output.len() - (self.num_output - end) as usize);
        Ok(())
    }
}
