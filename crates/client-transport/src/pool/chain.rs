//! Order among values of a slab, with O(1) removal from the middle and no allocation once warm.
//!
//! Owns links. Knows nothing of what it orders, nor why.

use super::slab::Id;

/// The two ends of one list. The links between its members are kept in a [`Links`].
#[derive(Debug, Default)]
pub(super) struct Chain {
    first: Option<Id>,
    last: Option<Id>,
    len: usize,
}

impl Chain {
    pub(super) fn first(&self) -> Option<Id> {
        self.first
    }

    pub(super) fn last(&self) -> Option<Id> {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// One pair of links per slot: a value is a member of at most one of the chains that share a `Links`.
#[derive(Debug, Default)]
pub(super) struct Links {
    nodes: Vec<Node>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Node {
    prev: Option<Id>,
    next: Option<Id>,
    linked: bool,
}

impl Links {
    pub(super) fn contains(&self, id: Id) -> bool {
        self.nodes.get(id.slot()).is_some_and(|node| node.linked)
    }

    pub(super) fn push_back(&mut self, chain: &mut Chain, id: Id) {
        debug_assert!(!self.contains(id), "already a member");
        if self.nodes.len() <= id.slot() {
            self.nodes.resize(id.slot() + 1, Node::default());
        }
        self.nodes[id.slot()] = Node {
            prev: chain.last,
            next: None,
            linked: true,
        };
        match chain.last {
            Some(last) => self.nodes[last.slot()].next = Some(id),
            None => chain.first = Some(id),
        }
        chain.last = Some(id);
        chain.len += 1;
    }

    /// Takes `id` out of `chain`; nothing happens if it is no member.
    pub(super) fn remove(&mut self, chain: &mut Chain, id: Id) {
        if !self.contains(id) {
            return;
        }
        let node = std::mem::take(&mut self.nodes[id.slot()]);
        match node.prev {
            Some(prev) => self.nodes[prev.slot()].next = node.next,
            None => chain.first = node.next,
        }
        match node.next {
            Some(next) => self.nodes[next.slot()].prev = node.prev,
            None => chain.last = node.prev,
        }
        chain.len -= 1;
    }

    /// The members of `chain`, first to last.
    pub(super) fn iter(&self, chain: &Chain) -> impl Iterator<Item = Id> {
        std::iter::successors(chain.first, |id| self.nodes[id.slot()].next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;

    #[test]
    fn order_survives_removal_anywhere() {
        let mut slab = Slab::new();
        let ids: Vec<Id> = (0..4).map(|n| slab.insert(n)).collect();
        for skip in 0..4 {
            let (mut links, mut chain) = (Links::default(), Chain::default());
            for &id in &ids {
                links.push_back(&mut chain, id);
            }
            links.remove(&mut chain, ids[skip]);
            links.remove(&mut chain, ids[skip]);
            let left: Vec<Id> = ids.iter().copied().filter(|&id| id != ids[skip]).collect();
            assert_eq!(links.iter(&chain).collect::<Vec<_>>(), left);
            assert_eq!((chain.first(), chain.last(), chain.len()), (Some(left[0]), Some(left[2]), 3));
            assert!(!links.contains(ids[skip]));
        }
    }
}
