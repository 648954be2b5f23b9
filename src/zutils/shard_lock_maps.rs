//! A map in shards.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A map of text to values in shards, each with a lock of its own, for what many connections look up and change at once.
/// Values are handed out as clones: put what is large into an `Arc`. No lock is held when a method returns, nor while
/// a closure runs, so from coroutines and threads alike nothing waits.
///
/// # Examples
///
/// ```
/// use zinx::zutils::ShardLockMaps;
///
/// let scores = ShardLockMaps::new();
/// scores.set("ann", 7);
/// assert!(!scores.set_nx("ann", 8));
/// assert_eq!(scores.get("ann"), Some(7));
/// assert_eq!(scores.pop("ann"), Some(7));
/// assert!(scores.is_empty());
/// ```
#[derive(Debug)]
pub struct ShardLockMaps<V> {
    shards: Box<[RwLock<HashMap<String, V>>]>,
    hasher: RandomState,
}

impl<V: Clone> Default for ShardLockMaps<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Clone> ShardLockMaps<V> {
    /// A map in 32 shards.
    #[doc(alias = "NewShardLockMaps")]
    pub fn new() -> Self {
        Self::with_count(SHARDS)
    }

    /// A map in so many shards; 0 is taken as 1.
    #[doc(alias = "NewShardLockMapsWithCount")]
    pub fn with_count(shards: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| RwLock::default()).collect(), hasher: RandomState::new() }
    }

    /// The value of a key.
    #[doc(alias = "Get")]
    pub fn get(&self, key: &str) -> Option<V> {
        self.read(key).get(key).cloned()
    }

    /// Whether the key has a value.
    #[doc(alias = "Has")]
    pub fn has(&self, key: &str) -> bool {
        self.read(key).contains_key(key)
    }

    /// Gives a key a value; returns the one it had.
    #[doc(alias = "Set")]
    pub fn set(&self, key: impl Into<String>, value: V) -> Option<V> {
        let key = key.into();
        self.write(&key).insert(key, value)
    }

    /// Gives a key a value if it has none. Returns whether it had none.
    #[doc(alias = "SetNX")]
    pub fn set_nx(&self, key: impl Into<String>, value: V) -> bool {
        self.get_or_set(key, value).1
    }

    /// The value of a key, which is this one if it had none; and whether it had none.
    #[doc(alias = "GetOrSet")]
    pub fn get_or_set(&self, key: impl Into<String>, value: V) -> (V, bool) {
        let key = key.into();
        let mut shard = self.write(&key);
        if let Some(present) = shard.get(&key) {
            return (present.clone(), false);
        }
        shard.insert(key, value.clone());
        (value, true)
    }

    /// As [`get_or_set`](Self::get_or_set), with a value that is made only if there is none. Made at once by several,
    /// the first stays.
    #[doc(alias = "GetOrSetFunc")]
    pub fn get_or_set_func(&self, key: impl Into<String>, make: impl FnOnce() -> V) -> (V, bool) {
        let key = key.into();
        match self.get(&key) {
            Some(present) => (present, false),
            None => self.get_or_set(key, make()),
        }
    }

    /// Gives many keys their values, one after the other.
    #[doc(alias = "MSet")]
    pub fn m_set<K: Into<String>>(&self, values: impl IntoIterator<Item = (K, V)>) {
        values.into_iter().for_each(|(key, value)| drop(self.set(key, value)));
    }

    /// The values of those of many keys that have one.
    #[doc(alias = "MGet")]
    pub fn m_get<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> HashMap<String, V> {
        keys.into_iter().filter_map(|key| Some((key.to_string(), self.get(key)?))).collect()
    }

    /// Forgets a key; whether it had a value.
    #[doc(alias = "Remove")]
    pub fn remove(&self, key: &str) -> bool {
        self.pop(key).is_some()
    }

    /// Forgets a key; returns the value it had.
    #[doc(alias = "Pop")]
    pub fn pop(&self, key: &str) -> Option<V> {
        self.write(key).remove(key)
    }

    /// How many keys have a value; counted shard by shard, so others may come and go meanwhile.
    #[doc(alias = "Count")]
    pub fn count(&self) -> usize {
        self.each().map(|shard| shard.len()).sum()
    }

    /// Whether no key has a value.
    #[doc(alias = "IsEmpty")]
    pub fn is_empty(&self) -> bool {
        self.each().all(|shard| shard.is_empty())
    }

    /// The keys, in no order.
    #[doc(alias = "Keys")]
    pub fn keys(&self) -> Vec<String> {
        self.each().flat_map(|shard| shard.keys().cloned().collect::<Vec<_>>()).collect()
    }

    /// Keys and values as they are now, a shard at a time.
    #[doc(alias = "Items")]
    #[doc(alias = "GetAll")]
    pub fn items(&self) -> HashMap<String, V> {
        self.each().flat_map(|shard| shard.clone()).collect()
    }

    /// Visits keys and values, as they are when their shard is reached. The visitor may change the map, and wait.
    #[doc(alias = "IterCb")]
    #[doc(alias = "IterBuffered")]
    pub fn iter_cb(&self, mut visit: impl FnMut(&str, V)) {
        for shard in &self.shards {
            let items = read(shard).clone();
            items.into_iter().for_each(|(key, value)| visit(&key, value));
        }
    }

    /// Forgets all keys, a shard at a time.
    #[doc(alias = "Clear")]
    pub fn clear(&self) {
        for shard in &self.shards {
            // Dropped without the lock: a destructor may use the map.
            let gone = std::mem::take(&mut *shard.write().unwrap_or_else(PoisonError::into_inner));
            drop(gone);
        }
    }

    fn each(&self) -> impl Iterator<Item = RwLockReadGuard<'_, HashMap<String, V>>> {
        self.shards.iter().map(read)
    }

    fn read(&self, key: &str) -> RwLockReadGuard<'_, HashMap<String, V>> {
        read(self.shard(key))
    }

    fn write(&self, key: &str) -> RwLockWriteGuard<'_, HashMap<String, V>> {
        self.shard(key).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, key: &str) -> &RwLock<HashMap<String, V>> {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash % self.shards.len() as u64) as usize]
    }
}

fn read<V>(shard: &RwLock<HashMap<String, V>>) -> RwLockReadGuard<'_, HashMap<String, V>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use super::*;

    #[test]
    fn many_threads_lose_nothing_and_the_first_value_stays() {
        let map = ShardLockMaps::with_count(4);
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let map = &map;
                    scope.spawn(move || {
                        map.m_set((0..1000).map(|n| (format!("{thread}-{n}"), n)));
                        (0..1000).filter(|n| map.set_nx(n.to_string(), *n)).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((firsts, map.count(), map.keys().len(), map.items().len()), (1000, 5000, 5000, 5000));
        assert_eq!(map.m_get(["1-7", "999", "none"]).len(), 2);
    }

    #[test]
    fn a_visitor_may_change_the_map() {
        let map = ShardLockMaps::with_count(0);
        map.m_set([("a", 1), ("b", 2)]);
        map.iter_cb(|key, value| {
            map.remove(key);
            map.set(format!("{key}{key}"), 10 * value);
        });
        let mut keys = map.keys();
        keys.sort_unstable();
        assert_eq!((keys, map.get("bb")), (vec!["aa".to_string(), "bb".to_string()], Some(20)));
        assert_eq!(map.get_or_set_func("aa", || unreachable!("it has one")), (10, false));
        map.clear();
        assert!(map.is_empty() && !map.has("aa"));
    }

    #[test]
    fn what_a_value_does_when_it_is_dropped_may_use_the_map() {
        #[derive(Clone)]
        struct Last(Weak<ShardLockMaps<Option<Self>>>);
        impl Drop for Last {
            fn drop(&mut self) {
                if let Some(map) = self.0.upgrade() {
                    map.set("dropped", None);
                }
            }
        }
        let map = Arc::new(ShardLockMaps::with_count(1));
        let last = || Some(Last(Arc::downgrade(&map)));
        map.set("a", last());
        map.set("a", last());
        assert!(!map.set_nx("a", last()));
        assert!(map.remove("a") && map.has("dropped"));
        map.set("b", last());
        map.clear();
        assert_eq!(map.keys(), ["dropped"]);
    }
}
