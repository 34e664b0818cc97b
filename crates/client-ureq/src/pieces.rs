//! The buffers that a response's body is handed over in. They are used again once whoever reads has dropped what was in them, so that a
//! large body costs no memory that is asked for, cleared and copied into piece by piece.
//!
//! What must never enter this file: where bytes come from.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use client_core::Bytes;

/// The first piece, where nothing is known of the length.
const FIRST: usize = 16 << 10;

/// The largest piece, of a body that fills smaller ones.
const LARGEST: usize = 64 << 10;

/// Buffers that are kept for the next piece.
const MAX_SPARE: usize = 2;

/// Of one body.
#[derive(Debug)]
pub(crate) struct Pieces {
    size: usize,
    /// What is still to come, where that is known.
    left: Option<u64>,
    spare: Arc<Spare>,
    /// What is to be filled next, if it is there already.
    next: Vec<u8>,
}

type Spare = Mutex<Vec<Vec<u8>>>;

impl Pieces {
    /// For a body of so many bytes, where that is known.
    pub(crate) fn new(length: Option<u64>) -> Self {
        Self {
            size: FIRST,
            left: length,
            spare: Arc::default(),
            next: Vec::new(),
        }
    }

    /// One piece, of as many bytes as `read` has put into a buffer; none is an empty one.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Bytes> {
        let size = self.left.and_then(|left| usize::try_from(left).ok()).map_or(self.size, |left| left.min(self.size));
        if size == 0 {
            // Only to be told that this is the end.
            let mut end = [0];
            return read(&mut end).map(|n| Bytes::copy_from_slice(&end[..n]));
        }
        if self.next.len() < size {
            self.next = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            self.next.resize(size, 0);
        }
        let n = read(&mut self.next)?;
        self.left = self.left.map(|left| left.saturating_sub(n as u64));
        let is_full = n == self.next.len();
        if n < FIRST {
            // So little is cheaper to copy than to keep track of, and cheaper still to hand over as it is.
            return Ok(if is_full {
                std::mem::take(&mut self.next).into()
            } else {
                Bytes::copy_from_slice(&self.next[..n])
            });
        }
        if is_full {
            self.size = (2 * n).min(LARGEST);
        }
        Ok(Bytes::from_owner(Piece {
            buffer: std::mem::take(&mut self.next),
            len: n,
            spare: Arc::clone(&self.spare),
        }))
    }
}

/// What is read from it by its reader.
struct Piece {
    buffer: Vec<u8>,
    len: usize,
    spare: Arc<Spare>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(7);
        Ok(buffer.len())
    }

    #[test]
    fn pieces_grow_while_they_are_filled() {
        let mut pieces = Pieces::new(None);
        let sizes = [0; 4].map(|_| pieces.fill(full).unwrap().len());
        assert_eq!(sizes, [FIRST, 2 * FIRST, LARGEST, LARGEST]);
        assert_eq!(pieces.fill(|_| Ok(3)).unwrap(), [7, 7, 7][..]);
        assert!(pieces.fill(|_| Ok(0)).unwrap().is_empty());
    }

    #[test]
    fn a_buffer_is_used_again_when_its_piece_is_gone() {
        let mut pieces = Pieces::new(None);
        let held: Vec<_> = (0..4).map(|_| pieces.fill(full).unwrap()).collect();
        let addresses: Vec<_> = held.iter().map(|piece| piece.as_ptr()).collect();
        let next = pieces.fill(full).unwrap();
        assert!(!addresses.contains(&next.as_ptr()), "one that is being read is not written to");
        drop((held, next));
        assert_eq!(pieces.spare.lock().unwrap().len(), MAX_SPARE);
        pieces.fill(full).unwrap();
        assert_eq!(pieces.spare.lock().unwrap().len(), MAX_SPARE);
    }

    #[test]
    fn a_small_body_takes_a_small_buffer() {
        let mut pieces = Pieces::new(Some(5));
        assert_eq!(pieces.fill(|buffer| Ok(buffer.len() - 2)).unwrap().len(), 3);
        assert_eq!(pieces.next.len(), 5);
        pieces.next.clear();
        assert_eq!(pieces.fill(full).unwrap(), [7; 2][..]);
        // The end is only looked for.
        assert!(pieces.fill(|buffer| Ok(buffer.len() - 1)).unwrap().is_empty());
        assert!(pieces.next.is_empty());
    }
}
