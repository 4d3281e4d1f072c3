//! What this processor can do, asked once at run time.
#![allow(unsafe_code, reason = "asking the processor and the kernel for matrix tiles: see the SAFETY comments")]

use std::str::FromStr;
use std::sync::OnceLock;

/// Families of instructions that kernels are written for, from the plainest to the richest. Each includes those before
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionSet {
    /// Whatever the program was compiled for.
    Plain,
    /// 256 bits at a time, with fused multiply-add.
    Avx2,
    /// 512 bits at a time.
    Avx512,
    /// And products of bfloat16 pairs, at twice the rate of single precision on AMD since Zen 4. Intel's processors have
    /// the instruction at half that rate: theirs count as the set before, or as the next.
    Avx512Bf16,
    /// And Intel's matrix tiles (AMX): bfloat16 at sixteen times the rate of single precision.
    Amx,
}

impl InstructionSet {
    /// All of them, the plainest first.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Amx];

    /// The richest that this processor and its operating system allow, and that is the fastest here.
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| {
            let found = [
                (Self::Amx, x86::has_amx as fn() -> bool),
                (Self::Avx512Bf16, x86::has_fast_bf16),
                (Self::Avx512, x86::has_avx512),
                (Self::Avx2, x86::has_avx2),
            ];
            found.into_iter().find(|(_, is_there)| is_there()).map_or(Self::Plain, |(set, _)| set)
        })
    }

    /// Whether kernels of this family can run here.
    pub fn is_available(self) -> bool {
        self <= Self::best()
    }

    /// Those whose kernels can run here, the plainest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|set| set.is_available())
    }

    /// The name in commands and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512bf16",
            Self::Amx => "amx",
        }
    }
}

impl FromStr for InstructionSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|set| set.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not a set of instructions: expected one of {names}")
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::is_x86_feature_detected;

    pub(super) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    pub(super) fn has_avx512() -> bool {
        has_avx2()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    }

    pub(super) fn has_fast_bf16() -> bool {
        has_avx512() && is_x86_feature_detected!("avx512bf16") && is_amd()
    }

    fn is_amd() -> bool {
        let vendor = std::arch::x86_64::__cpuid(0);
        [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
    }

    #[cfg(target_os = "linux")]
    pub(super) fn has_amx() -> bool {
        use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

        /// Bits of CPUID leaf 7, register EDX.
        const AMX_BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
        /// Bits of the register that says what the operating system saves: tile configuration and tile data.
        const TILE_STATE: u64 = 1 << 17 | 1 << 18;
        /// CPUID leaf 1, register ECX: the operating system uses extended states, so `xgetbv` exists.
        const OSXSAVE: u32 = 1 << 27;
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_TILE_DATA: libc::c_long = 18;

        #[target_feature(enable = "xsave")]
        fn saved_states() -> u64 {
            // SAFETY: the caller has seen OSXSAVE, and register 0 always exists then.
            unsafe { _xgetbv(0) }
        }

        if !has_avx512() || !is_x86_feature_detected!("avx512bf16") {
            return false;
        }
        if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & AMX_BF16_AND_TILE != AMX_BF16_AND_TILE {
            return false;
        }
        if __cpuid(1).ecx & OSXSAVE == 0 {
            return false;
        }
        // SAFETY: OSXSAVE says that the instruction exists.
        if unsafe { saved_states() } & TILE_STATE != TILE_STATE {
            return false;
        }
        // SAFETY: a system call that takes two integers and asks for the right to use tiles, for the whole process.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn has_amx() -> bool {
        false
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    pub(super) fn has_avx2() -> bool {
        false
    }
    pub(super) fn has_avx512() -> bool {
        false
    }
    pub(super) fn has_fast_bf16() -> bool {
        false
    }
    pub(super) fn has_amx() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_available_and_names_read_back() {
        assert!(InstructionSet::best().is_available());
        assert!(InstructionSet::Plain.is_available());
        for set in InstructionSet::ALL {
            assert_eq!(set.name().parse(), Ok(set));
        }
        assert!("sse9".parse::<InstructionSet>().unwrap_err().contains("avx512"));
    }
}
