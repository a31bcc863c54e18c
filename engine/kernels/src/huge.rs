//! Memory in large pages. A search reads rows far apart, each in a page of its own: with pages of 4 KiB it waits
//! for the tables of pages about as long as for the rows (a tenth of its time at 64,300 × 384-d).

/// Size of a large page.
const PAGE_BYTES: usize = 2 << 20;

/// Asks the system to hold values that are in memory in pages of 2 MiB, as far as whole ones lie in them, so that
/// no memory is taken beside theirs. This copies them within the system, some 2 GB/s, and changes no value.
/// Systems that do not know the request (Linux before 6.1, others) stay with small pages.
pub fn use_huge_pages<T>(values: &[T]) {
    #[cfg(target_os = "linux")]
    advise(values.as_ptr().cast(), size_of_val(values), libc::MADV_COLLAPSE);
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}

/// Asks the system to give a vector's room, as far as it was not touched yet, in pages of 2 MiB when it is: one
/// fault in place of 512, and nothing to copy together later.
pub fn expect_huge_pages<T>(values: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    advise(values.as_ptr().cast(), values.capacity() * size_of::<T>(), libc::MADV_HUGEPAGE);
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}

/// Advises the system of the whole pages within some bytes of one allocation; `advice` is one of those that only
/// choose the size of pages.
#[cfg(target_os = "linux")]
fn advise(bytes: *const u8, len: usize, advice: libc::c_int) {
    let start = bytes as usize;
    let end = (start + len) / PAGE_BYTES * PAGE_BYTES;
    let first = start.next_multiple_of(PAGE_BYTES);
    if first < end {
        let whole = bytes.wrapping_add(first - start).cast_mut();
        // SAFETY: the range lies in the allocation, and such advice changes neither its contents nor its addresses.
        // A refusal leaves everything as it was.
        unsafe { libc::madvise(whole.cast(), end - first, advice) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_are() {
        for len in [0, 1, PAGE_BYTES / 8, 3 * PAGE_BYTES / 8 + 5] {
            let values: Vec<u64> = (0..len as u64).map(|n| n * n).collect();
            use_huge_pages(&values);
            use_huge_pages(&values[len / 2..]);
            assert!(values.iter().zip(0u64..).all(|(value, n)| *value == n * n), "{len}");
            let mut copy = Vec::with_capacity(len);
            expect_huge_pages(&mut copy);
            copy.extend_from_slice(&values);
            expect_huge_pages(&mut copy);
            assert_eq!(copy, values);
        }
    }
}
