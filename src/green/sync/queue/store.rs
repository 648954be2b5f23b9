//! In which order a queue gives its items out.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

/// What a queue keeps its items in.
pub trait Store: Default {
    /// What it keeps.
    type Item;

    /// Adds an item.
    fn push(&mut self, item: Self::Item);

    /// Takes the item whose turn it is.
    fn pop(&mut self) -> Option<Self::Item>;

    /// The item whose turn it is.
    fn peek(&self) -> Option<&Self::Item>;

    /// How many items it keeps.
    fn len(&self) -> usize;
}

/// First in, first out.
impl<T> Store for VecDeque<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn peek(&self) -> Option<&T> {
        self.front()
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

/// Last in, first out.
#[derive(Clone, Debug)]
pub struct Stack<T>(Vec<T>);

impl<T> Default for Stack<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Store for Stack<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn peek(&self) -> Option<&T> {
        self.0.last()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// The smallest first; of equals, the one put first.
#[derive(Clone, Debug)]
pub struct Heap<T: Ord> {
    items: BinaryHeap<Reverse<Ranked<T>>>,
    put: u64,
}

impl<T: Ord> Default for Heap<T> {
    fn default() -> Self {
        Self { items: BinaryHeap::new(), put: 0 }
    }
}

impl<T: Ord> Store for Heap<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.put += 1;
        self.items.push(Reverse(Ranked { item, rank: self.put }));
    }

    fn pop(&mut self) -> Option<T> {
        self.items.pop().map(|Reverse(first)| first.item)
    }

    fn peek(&self) -> Option<&T> {
        self.items.peek().map(|Reverse(first)| &first.item)
    }

    fn len(&self) -> usize {
        self.items.len()
    }
}

#[derive(Clone, Debug)]
struct Ranked<T> {
    item: T,
    rank: u64,
}

impl<T: Ord> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.item.cmp(&other.item).then(self.rank.cmp(&other.rank))
    }
}

impl<T: Ord> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Ranked<T> {}
