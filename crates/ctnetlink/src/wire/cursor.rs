/// A reader over bytes that knows how far it has come and cannot run over the end.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte; `offset` is what that byte is called in errors.
    pub const fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self {
            rest: bytes,
            offset,
        }
    }

    /// Bytes not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Where the next byte stands.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes, or `None` (and nothing read) if there are fewer.
    #[inline]
    pub const fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                self.offset += length;
                Some(taken)
            }
            None => None,
        }
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub const fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                self.offset += N;
                Some(*taken)
            }
            None => None,
        }
    }

    /// Passes over up to `length` bytes; padding at the end may be missing.
    #[inline]
    pub fn skip_up_to(&mut self, length: usize) {
        let step = length.min(self.rest.len());
        let _ = self.take(step);
    }
}
