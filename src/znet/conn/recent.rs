//! A bounded table by address: if there are too many, the oldest entries are forgotten.

use std::collections::HashMap;
use std::net::IpAddr;

/// A value for each address, in two halves: when the first is full it becomes the second, and what was the second is
/// forgotten. So looking up and forgetting cost the same however many there are.
pub(crate) struct Recent<V> {
    young: HashMap<IpAddr, V>,
    old: HashMap<IpAddr, V>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<V> Recent<V> {
    /// The value of an address, which begins as `first` if there is none. `most`: how many there may be, two at least.
    pub(crate) fn entry(&mut self, address: IpAddr, most: usize, first: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&address) {
            let before = self.old.remove(&address);
            if self.young.len() >= most.div_ceil(2).max(1) {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.extend(before.map(|before| (address, before)));
        }
        self.young.entry(address).or_insert_with(first)
    }

    pub(crate) fn remove(&mut self, address: IpAddr) {
        self.young.remove(&address);
        self.old.remove(&address);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
