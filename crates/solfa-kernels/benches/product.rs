//! The rate of matrix products beside the machine's limit.
use solfa_kernels::product::{Epilogue, PackedMatrix, Placement, Windows, multiply};
use solfa_kernels::{Arithmetic, InstructionSet, Precision};
use std::time::Instant;

fn main() {
    for set in InstructionSet::ALL.into_iter().rev().filter(|set| set.is_available()) {
        for precision in [Precision::F32, Precision::Bf16] {
            let arithmetic = Arithmetic::with_instructions(set, precision);
            for (m, k, n) in [(750, 1024, 4096), (750, 4096, 1024), (750, 1024, 1024), (1500, 768, 3072)] {
                let values: Vec<f32> = (0..m * k).map(|i| (i % 17) as f32 - 8.0).collect();
                let packed: Vec<_> =
                    (0..4).map(|_| PackedMatrix::pack(arithmetic, 1, k, n, |a, b| ((a + b) % 13) as f32)).collect();
                let mut out = vec![0.0; m * n];
                let mut best = f64::MAX;
                for i in 0..12 {
                    let start = Instant::now();
                    multiply(
                        &Windows::matrix(&values, k),
                        &packed[i % 4],
                        &Epilogue::default(),
                        &mut out,
                        Placement { group_pitch: 0, row_pitch: n },
                    );
                    best = best.min(start.elapsed().as_secs_f64());
                }
                println!(
                    "{:10} {precision:?} {m}x{k}x{n}: {:.2} ms {:.0} GFLOP/s",
                    set.name(),
                    best * 1e3,
                    2.0 * (m * k * n) as f64 / best / 1e9
                );
            }
            if set < InstructionSet::Avx512 {
                continue;
            }
            // conv 3x3 512, time-major
            let (t, b, c) = (128, 64, 512);
            let row = (b + 2) * c;
            let values: Vec<f32> = (0..(t + 2) * row).map(|i| (i % 17) as f32 - 8.0).collect();
            let packed = PackedMatrix::pack(arithmetic, 3, 3 * c, c, |a, b| ((a + b) % 13) as f32);
            let mut out = vec![0.0; t * row];
            let windows = Windows {
                values: &values,
                num_groups: t,
                group_rows: b,
                group_pitch: row,
                row_pitch: c,
                taps: 3,
                tap_pitch: row,
                tap_inputs: 3 * c,
            };
            let mut best = f64::MAX;
            for _ in 0..3 {
                let start = Instant::now();
                multiply(
                    &windows,
                    &packed,
                    &Epilogue::default(),
                    &mut out,
                    Placement { group_pitch: row, row_pitch: c },
                );
                best = best.min(start.elapsed().as_secs_f64());
            }
            println!(
                "{:10} {precision:?} conv {t}x{b}x{c}: {:.2} ms {:.0} GFLOP/s",
                set.name(),
                best * 1e3,
                2.0 * (t * b * c * 9 * c) as f64 / best / 1e9
            );
        }
    }
}
