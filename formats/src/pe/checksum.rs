//! CheckSum of the optional header: the algorithm of ImageHlp's CheckSumMappedFile, which "PE Format" only names.

/// The sum of an image's words, of which CheckSum itself is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CheckSum {
    /// Two words at a time: folded at the end, the sum is the same, as 2^16 is 1 modulo 2^16 - 1.
    sum: u64,
    /// The bytes of words that are not full yet.
    rest: [u8; 4],
    filled: usize,
}

impl CheckSum {
    /// Adds what comes next.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while self.filled > 0 || bytes.len() < 4 {
            let Some((&first, after)) = bytes.split_first() else { return };
            self.rest[self.filled] = first;
            bytes = after;
            self.filled = (self.filled + 1) % 4;
            if self.filled == 0 {
                self.add(u32::from_le_bytes(self.rest));
                self.rest = [0; 4];
            }
        }
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            self.add(u32::from_le_bytes(*word));
        }
        self.rest[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    fn add(&mut self, words: u32) {
        self.sum += u64::from(words);
        // Never near the end of 64 bits.
        self.sum = (self.sum & u64::from(u32::MAX)) + (self.sum >> 32);
    }

    /// The value for an image of `len` bytes.
    pub(super) fn finish(mut self, len: u64) -> u32 {
        self.add(u32::from_le_bytes(self.rest));
        let mut sum = self.sum;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // The field has 32 bits, whatever the file has.
        u32::try_from((sum + len) & u64::from(u32::MAX)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As CheckSumMappedFile does it: a word at a time, folded each time.
    fn slowly(bytes: &[u8]) -> u32 {
        let words =
            bytes.chunks(2).map(|word| u32::from(word[0]) | u32::from(*word.get(1).unwrap_or(&0)) << 8);
        let sum = words.fold(0, |sum, word| ((sum + word) >> 16) + ((sum + word) & 0xffff));
        sum + u32::try_from(bytes.len()).unwrap()
    }

    #[test]
    fn any_pieces_give_the_sum_of_the_whole() {
        let bytes: Vec<u8> = (0..1001_u32).map(|n| (n * 37 % 251) as u8).collect();
        for len in [0, 1, 2, 3, 4, 5, 8, 100, 999, 1000, 1001] {
            for piece in [1, 2, 3, 4, 5, 7, 64, 2000] {
                let mut sum = CheckSum::default();
                bytes[..len].chunks(piece).for_each(|piece| sum.update(piece));
                assert_eq!(sum.finish(len as u64), slowly(&bytes[..len]), "{len} bytes by {piece}");
            }
        }
        let mut sum = CheckSum::default();
        sum.update(&[0xff; 4096]);
        assert_eq!(sum.finish(4096), slowly(&[0xff; 4096]));
    }
}
