//! Storage with stable ids.
//!
//! Owns slots and the serial numbers that make an id safe to keep after its value is gone. Knows nothing of what it stores.

use std::fmt;
use std::ops::{Index, IndexMut};

/// Names one value of one [`Slab`], forever: slots are used again, serial numbers never are, so a late id finds nothing
/// rather than a stranger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    serial: u64,
    slot: u32,
}

impl Id {
    /// The position, for data kept beside the slab.
    pub(super) fn slot(self) -> usize {
        self.slot as usize
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.serial)
    }
}

/// Values in a `Vec`, with O(1) insertion, access and removal. Memory follows the high-water mark.
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    last_serial: u64,
}

struct Slot<T> {
    serial: u64,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            last_serial: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, value: T) -> Id {
        self.last_serial += 1;
        let serial = self.last_serial;
        let filled = Slot {
            serial,
            value: Some(value),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = filled;
                slot
            }
            None => {
                self.slots.push(filled);
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 values")
            }
        };
        Id { serial, slot }
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let slot = self.slots.get_mut(id.slot()).filter(|slot| slot.serial == id.serial)?;
        let value = slot.value.take()?;
        self.free.push(id.slot);
        Some(value)
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.slots.get(id.slot()).filter(|slot| slot.serial == id.serial)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.slots.get_mut(id.slot()).filter(|slot| slot.serial == id.serial)?.value.as_mut()
    }

    /// All values by slot. O(high-water mark): for cold paths only.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            // Lossless: `insert` refuses a slot that does not fit.
            let id = Id {
                serial: entry.serial,
                slot: slot as u32,
            };
            entry.value.as_ref().map(|value| (id, value))
        })
    }
}

/// For ids that cannot be stale. A panic here is a bug of the pool.
impl<T> Index<Id> for Slab<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        self.get(id).expect("a live id")
    }
}

impl<T> IndexMut<Id> for Slab<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        self.get_mut(id).expect("a live id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_id_finds_nothing_in_a_slot_used_again() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(old.slot(), new.slot());
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab[new], "new");
        assert_eq!(slab.len(), 1);
    }
}
