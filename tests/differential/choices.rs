//! Choices that bytes make: a property test shrinks them, a fuzzer learns which are worth it.

/// Bytes that are used up choice by choice; where they end, it is always the first.
pub struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Choices { bytes }
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let length = if bound > 256 { 2 } else { 1 };
        let (now, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        let number = now
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte));
        number % bound
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Whether something happens that does so once in `rarity` times, and not where there are no bytes.
    pub fn once_in(&mut self, rarity: usize) -> bool {
        self.below(rarity) == rarity - 1
    }

    /// Whether all bytes are used up.
    pub fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }
}
