//! Asks for cache lines before they are needed.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the compiler's own prefetch for writing is one for reading on the oldest x86-64 processors, \
                  and so on all that it is asked to serve"
    )
)]

/// Asks for the line that `place` begins in, for a thread that is about to write it. A hint: nothing depends on it.
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        clippy::pointers_in_nomem_asm_block,
        reason = "the place is named and neither read nor written, so what is known of it stays true"
    )
)]
#[inline(always)]
pub(crate) fn for_writing<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction changes no memory, register or flag, and never faults; a processor that does not know
    // it does nothing.
    unsafe {
        std::arch::asm!(
            "prefetchw [{}]",
            in(reg) std::ptr::from_ref(place),
            options(nomem, nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for the line that `place` begins in, for a thread that is about to read it. A hint: nothing depends on it.
#[inline(always)]
pub(crate) fn for_reading<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing and never faults, and every x86-64 processor has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
