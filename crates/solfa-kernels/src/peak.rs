//! What a machine could do at best: the rate of products whose operands never leave the registers.
//!
//! No kernel can be faster that does all operations of its definition, and one that is near has nothing left to gain.
#![allow(unsafe_code, reason = "vector instructions and matrix tiles: see the SAFETY comments")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::instruction_set::InstructionSet;
use crate::product::{Arithmetic, Precision};
use crate::simd::{Operation, Simd, dispatch};

/// How long a run must take for its beginning and its end not to count. The shorter it is, the more often nothing else runs
/// meanwhile.
const RUN_TIME: Duration = Duration::from_micros(500);
/// Runs of which the best counts.
const NUM_RUNS: usize = 20;

/// Operations a second that all threads of the current pool reach together, as the best of some runs of half a
/// millisecond. A multiplication and an addition are two operations.
///
/// What multiplies is what [kernels](crate::product) multiply with: matrix tiles where the arithmetic is theirs, dot
/// products of bfloat16 pairs where those are fast, fused multiply-add of single precision elsewhere, and for
/// [`InstructionSet::Plain`] whatever the compiler makes of a multiplication and an addition. Where a product of single
/// precision is three of bfloat16, the rate is a third of theirs.
pub fn peak_flops(arithmetic: Arithmetic) -> f64 {
    let timed = |num_steps: usize| {
        let start = Instant::now();
        let operations = multiply_in_registers(arithmetic, num_steps);
        (start.elapsed(), operations)
    };
    let mut num_steps = 1 << 8;
    while timed(num_steps).0 < RUN_TIME {
        num_steps *= 2;
    }
    let rates = (0..NUM_RUNS).map(|_| {
        let (elapsed, operations) = timed(num_steps);
        operations / elapsed.as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}

/// Does `num_steps` steps of products in registers on every thread of the current pool, and gives the number of operations
/// of all of them. How many a step has depends on the arithmetic. [`peak_flops`] times this.
pub fn multiply_in_registers(arithmetic: Arithmetic, num_steps: usize) -> f64 {
    rayon::broadcast(|_| on_this_thread(arithmetic, num_steps)).into_iter().sum()
}

fn on_this_thread(arithmetic: Arithmetic, num_steps: usize) -> f64 {
    let (set, precision) = (arithmetic.instruction_set(), arithmetic.precision());
    match (set, precision) {
        #[cfg(target_arch = "x86_64")]
        (InstructionSet::Amx, Precision::Bf16) => x86::tile_products(arithmetic, num_steps),
        #[cfg(target_arch = "x86_64")]
        (InstructionSet::Amx, Precision::F32) => x86::tile_products(arithmetic, num_steps) / 3.0,
        // SAFETY: an arithmetic has no instructions that the processor lacks.
        #[cfg(target_arch = "x86_64")]
        (InstructionSet::Avx512Bf16, Precision::Bf16) => unsafe { x86::dot_products(num_steps) },
        // The plain vectors are two registers each, of which there are sixteen.
        (InstructionSet::Plain, _) => dispatch(set, MultiplyAdd::<6> { num_steps }),
        _ => dispatch(set, MultiplyAdd::<12> { num_steps }),
    }
}

/// Rounds of a step, so that steps of vectors and of tiles take about as long.
const ROUNDS: usize = 8;

/// Steps of [`ROUNDS`] multiplications and additions for each of some vectors, which do not wait for each other. The output
/// is the number of operations.
struct MultiplyAdd<const VECTORS: usize> {
    num_steps: usize,
}

impl<const VECTORS: usize> Operation for MultiplyAdd<VECTORS> {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f64 {
        /// Lanes of the longest vector that there is.
        const MOST_LANES: usize = 16;
        // The compiler makes plain vectors of what is loaded and stored, and knows nothing of what these hold.
        let constants = black_box([[0.5; MOST_LANES], [1.0; MOST_LANES]]);
        let mut numbers = black_box([[3.0; MOST_LANES]; VECTORS]);
        // SAFETY: the instructions are those that `dispatch` was asked for, and every array holds a vector.
        unsafe {
            let [factor, addend] = [S::load(constants[0].as_ptr()), S::load(constants[1].as_ptr())];
            let mut values = [factor; VECTORS];
            for (value, numbers) in values.iter_mut().zip(&numbers) {
                *value = S::load(numbers.as_ptr());
            }
            for _ in 0..self.num_steps {
                for _ in 0..ROUNDS {
                    let mut vector = 0;
                    while vector < VECTORS {
                        values[vector] = S::mul_add(values[vector], factor, addend);
                        vector += 1;
                    }
                }
            }
            for (&value, numbers) in values.iter().zip(&mut numbers) {
                S::store(numbers.as_mut_ptr(), value);
            }
        }
        black_box(numbers);
        (2 * ROUNDS * VECTORS * S::LANES * self.num_steps) as f64
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use crate::peak::ROUNDS;
    use crate::product::{Arithmetic, ConfiguredTiles};

    /// The bits of two bfloat16 of 1/128.
    const PAIR: u32 = 0x3c00_3c00;

    /// Steps of dot products of pairs; gives the number of operations.
    ///
    /// # Safety
    /// The processor has AVX512-BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn dot_products(num_steps: usize) -> f64 {
        const VECTORS: usize = 24;
        let pairs = _mm512_set1_epi32(black_box(PAIR as i32));
        // SAFETY: both are 512 bits without invalid values.
        let pairs: __m512bh = unsafe { std::mem::transmute(pairs) };
        let mut sums: [__m512; VECTORS] = std::array::from_fn(|number| _mm512_set1_ps(black_box(number as f32)));
        for _ in 0..num_steps {
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = _mm512_dpbf16_ps(*sum, pairs, pairs);
                }
            }
        }
        for sum in sums {
            black_box(_mm512_reduce_add_ps(sum));
        }
        (4 * 16 * ROUNDS * VECTORS * num_steps) as f64
    }

    /// Steps of four products of tiles; gives the number of operations, of bfloat16.
    pub(super) fn tile_products(arithmetic: Arithmetic, num_steps: usize) -> f64 {
        let _configured = ConfiguredTiles::of(arithmetic);
        let tile = [PAIR; 16 * 16];
        // SAFETY: an arithmetic with tiles exists only where they are available, they are configured here as sixteen rows
        // of 64 bytes, and so many are read from memory. The compiler never uses tiles by itself.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "tileloadd tmm4, [{tile} + {pitch}]",
                "tileloadd tmm5, [{tile} + {pitch}]",
                "tileloadd tmm6, [{tile} + {pitch}]",
                "tileloadd tmm7, [{tile} + {pitch}]",
                tile = in(reg) tile.as_ptr(),
                pitch = in(reg) 64_usize,
                options(nostack, preserves_flags, readonly)
            );
            for _ in 0..num_steps {
                asm!(
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    options(nostack, preserves_flags, nomem)
                );
            }
        }
        (2 * 16 * 16 * 32 * 4 * num_steps) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arithmetics, on_threads};

    #[test]
    fn rates_are_positive_and_finite() {
        for arithmetic in arithmetics() {
            let rate = peak_flops(arithmetic);
            assert!(rate > 0.0 && rate.is_finite(), "{arithmetic:?}: {rate}");
        }
    }

    #[test]
    fn all_threads_count() {
        for arithmetic in arithmetics() {
            let [one, three] = [1, 3].map(|threads| on_threads(threads, || multiply_in_registers(arithmetic, 10)));
            assert!(one > 0.0 && three == 3.0 * one, "{arithmetic:?}: {one}, {three}");
            assert_eq!(multiply_in_registers(arithmetic, 0), 0.0);
        }
    }
}
