//! Memory that is taken once and used again.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;
use memmap2::MmapMut;

/// From this size on, memory comes in pages of its own, large ones where the system has them.
const MAPPED_BYTES: usize = 1 << 20;

/// Values that start on a cache line, zero at first. Large buffers ask for large pages: without them, walking through
/// hundreds of megabytes of weights misses the processor's address cache at every turn.
#[derive(Debug)]
pub struct Buffer {
    storage: Storage,
    num_bytes: usize,
}

#[derive(Debug)]
enum Storage {
    Mapped(MmapMut),
    Small(Vec<CacheLine>),
}

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

const ZEROS: CacheLine = CacheLine([0; 64]);

impl Default for Buffer {
    fn default() -> Self {
        Self::zeros::<u8>(0)
    }
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros<T: Pod>(len: usize) -> Self {
        let num_bytes = len * size_of::<T>();
        let mapped = if num_bytes >= MAPPED_BYTES { MmapMut::map_anon(num_bytes).ok() } else { None };
        let storage = match mapped {
            Some(mapping) => {
                // Where large pages are not to be had, small ones serve.
                #[cfg(target_os = "linux")]
                let _ = mapping.advise(memmap2::Advice::HugePage);
                Storage::Mapped(mapping)
            }
            None => Storage::Small(vec![ZEROS; num_bytes.div_ceil(64)]),
        };
        Self { storage, num_bytes }
    }

    /// Bytes that it holds.
    pub fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// All values, as far as they are whole.
    pub fn values<T: Pod>(&self) -> &[T] {
        let whole_bytes = self.num_bytes - self.num_bytes % size_of::<T>();
        let bytes = match &self.storage {
            Storage::Mapped(mapping) => &mapping[..whole_bytes],
            Storage::Small(lines) => &bytemuck::cast_slice(lines)[..whole_bytes],
        };
        bytemuck::cast_slice(bytes)
    }

    /// All values as far as they are whole, to be changed.
    pub fn values_mut<T: Pod>(&mut self) -> &mut [T] {
        let whole_bytes = self.num_bytes - self.num_bytes % size_of::<T>();
        let bytes = match &mut self.storage {
            Storage::Mapped(mapping) => &mut mapping[..whole_bytes],
            Storage::Small(lines) => &mut bytemuck::cast_slice_mut(lines)[..whole_bytes],
        };
        bytemuck::cast_slice_mut(bytes)
    }
}

/// Buffers that nobody uses at the moment.
static IDLE: Mutex<Vec<Buffer>> = Mutex::new(Vec::new());

/// Memory borrowed from a common stock, with whatever an earlier user left in it; it goes back when this is dropped. So a
/// network that runs again and again asks the system for memory in its first pass only.
pub struct Borrowed<T> {
    buffer: Buffer,
    len: usize,
    values: PhantomData<T>,
}

/// Borrows room for `len` values. **Their contents are arbitrary.**
pub fn borrow<T: Pod>(len: usize) -> Borrowed<T> {
    let num_bytes = len * size_of::<T>();
    let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let found = {
        let mut idle = idle();
        let smallest_fit = (0..idle.len())
            .filter(|&number| idle[number].num_bytes() >= num_bytes && idle[number].num_bytes() / 4 <= num_bytes)
            .min_by_key(|&number| idle[number].num_bytes());
        smallest_fit.map(|number| idle.swap_remove(number))
    };
    let buffer = found.unwrap_or_else(|| {
        // One that is too small makes way, so that the stock does not grow with every new size.
        let mut idle = idle();
        let largest_below = (0..idle.len())
            .filter(|&number| idle[number].num_bytes() < num_bytes && idle[number].num_bytes() >= num_bytes / 4)
            .max_by_key(|&number| idle[number].num_bytes());
        drop(largest_below.map(|number| idle.swap_remove(number)));
        drop(idle);
        Buffer::zeros::<T>(len)
    });
    Borrowed { buffer, len, values: PhantomData }
}

impl<T> Drop for Borrowed<T> {
    fn drop(&mut self) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.buffer));
    }
}

impl<T: Pod> Deref for Borrowed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer.values()[..self.len]
    }
}

impl<T: Pod> DerefMut for Borrowed<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer.values_mut()[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_any_size_are_zero_and_aligned() {
        for len in [0, 1, 15, 4096, (1 << 20) + 3] {
            let mut buffer = Buffer::zeros::<f32>(len);
            assert_eq!(buffer.values::<f32>(), vec![0.0; len]);
            assert!(buffer.values::<f32>().as_ptr().addr().is_multiple_of(64));
            buffer.values_mut::<f32>().fill(1.0);
            assert!(buffer.values::<f32>().iter().all(|&value| value == 1.0));
        }
    }

    #[test]
    fn memory_of_odd_size_serves_wider_values() {
        let buffer = Buffer::zeros::<u8>(4099);
        assert_eq!((buffer.values::<u8>().len(), buffer.values::<f32>().len()), (4099, 1024));
        drop(borrow::<u8>(777_777));
        assert_eq!(borrow::<f32>(777_777 / 4).len(), 777_777 / 4);
    }

    #[test]
    fn borrowed_memory_is_used_again_and_never_twice_at_once() {
        const LEN: usize = 123_457;
        let mut first = borrow::<f32>(LEN);
        first.fill(3.0);
        let mut second = borrow::<f32>(LEN);
        second.fill(4.0);
        assert!(first.iter().all(|&value| value == 3.0));
        assert_eq!(second.len(), LEN);
        drop(first);
        assert_eq!(borrow::<u16>(LEN * 2).len(), LEN * 2);
    }
}
