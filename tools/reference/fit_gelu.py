#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy==2.*", "scipy==1.*"]
# ///
"""Fits the coefficients in crates/solfa-learn/src/model/gelu.rs, and prints how far they are off in single precision.

    python3 -m venv ~/.cache/solfa-peers && ~/.cache/solfa-peers/bin/pip install numpy scipy
    ~/.cache/solfa-peers/bin/python tools/reference/fit_gelu.py

`(Phi(x) - 1/2) / x` as a quotient of two polynomials in `x^2` up to `x = 5.75`: least squares on Chebyshev nodes, linear in
the coefficients once it is multiplied by the denominator of the step before, with weights that grow where the error of
`x Phi(x)` is large (Lawson's iteration).
"""
import numpy as np
from scipy.special import erf

REACH = 5.75
DEGREE = 5
NODES = 4000
STEPS = 60


def fit():
    square = (1 - np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2 * REACH**2
    x = np.sqrt(square)
    wanted = 0.5 * erf(x / np.sqrt(2)) / x
    scaled = square / REACH**2
    size = np.maximum(x * x, 0.05)
    denominator, lawson, best = np.ones(NODES), np.ones(NODES), None
    for _ in range(STEPS):
        powers = scaled[:, None] ** np.arange(DEGREE + 1)
        weight = size * lawson / np.abs(denominator)
        system = np.hstack([powers, -wanted[:, None] * powers[:, 1:]]) * weight[:, None]
        solution, *_ = np.linalg.lstsq(system, wanted * weight, rcond=None)
        above, below = solution[: DEGREE + 1], np.concatenate([[1], solution[DEGREE + 1 :]])
        denominator = powers @ below
        error = np.abs(powers @ above / denominator - wanted) * size
        if best is None or error.max() < best[0]:
            best = error.max(), above, below
        lawson = lawson * np.sqrt(error / error.max() + 1e-3)
        lawson /= lawson.max()
    scale = REACH ** (2.0 * np.arange(DEGREE + 1))
    return best[0], np.float32(best[1] / scale), np.float32(best[2] / scale)


def main():
    error, above, below = fit()
    x = np.linspace(-12, 12, 2_000_001).astype(np.float32)
    near = np.clip(x, np.float32(-REACH), np.float32(REACH))
    horner = lambda coefficients: np.polyval(coefficients[::-1], near * near)
    found = x * (np.float32(0.5) + near * horner(above) / horner(below))
    wide = x.astype(np.float64)
    off = np.abs(found - wide * 0.5 * (1 + erf(wide / np.sqrt(2)))) / np.maximum(1, np.abs(wide))
    print("numerator", [float(value) for value in above])
    print("denominator", [float(value) for value in below])
    print(f"error of x Phi(x) before rounding {error:.1e}; in single precision {off.max():.1e} of max(1, |x|)")


main()
