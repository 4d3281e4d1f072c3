//! The program's allocator, told what training does to it.
#![allow(unsafe_code, reason = "a setting of a library in C: see the SAFETY comment")]

use std::ffi::c_long;

/// Number of mimalloc's option `purge_delay`, the same in its versions 2 and 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Has mimalloc keep memory that is free for what is asked for next, and give none back to the system while the program
/// runs. A training step asks for the same gigabyte again and again; by default, memory that has been free for 10 ms goes
/// back, and the system clears every page of it when it is wanted again.
///
/// For programs whose allocator is mimalloc; in others nothing comes of it.
pub fn keep_freed_memory() {
    const NEVER: c_long = -1;
    // SAFETY: the option exists, and may be set at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number is not in the bindings: what it stands for is seen by what it is at first.
    #[test]
    fn the_option_is_the_one_of_10_milliseconds() {
        // SAFETY: reading an option.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert!(delay() > 0, "{}", delay());
        keep_freed_memory();
        assert_eq!(delay(), -1);
    }
}
