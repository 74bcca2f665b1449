//! A map with a stated bound that forgets what was untouched for longest.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    capacity: usize,
    entries: HashMap<K, (u64, V)>,
    by_age: BTreeSet<(u64, K)>,
}

impl<K: Copy + Eq + Hash + Ord, V> Bounded<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), by_age: BTreeSet::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (touched_ms, value) = self.entries.remove(key)?;
        self.by_age.remove(&(touched_ms, *key));
        Some(value)
    }

    /// The value of a key, which is touched now, and made with `value` where there is none.
    pub(super) fn entry_or(&mut self, key: K, now_ms: u64, value: V) -> &mut V {
        if let Some((touched_ms, _)) = self.entries.get(&key) {
            self.by_age.remove(&(*touched_ms, key));
        } else if self.entries.len() >= self.capacity
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.by_age.insert((now_ms, key));
        let entry = self.entries.entry(key).or_insert((now_ms, value));
        entry.0 = now_ms;
        &mut entry.1
    }

    pub(super) fn entry(&mut self, key: K, now_ms: u64) -> &mut V
    where
        V: Default,
    {
        self.entry_or(key, now_ms, V::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_untouched_for_longest_is_forgotten() {
        let mut map = Bounded::new(2);
        *map.entry(1, 10) = "first";
        *map.entry(2, 20) = "second";
        map.entry(1, 30);
        *map.entry(3, 40) = "third";
        assert_eq!((map.get(&1), map.get(&2), map.get(&3)), (Some(&"first"), None, Some(&"third")));
        assert_eq!(map.remove(&1), Some("first"));
        assert_eq!((map.entries.len(), map.by_age.len()), (1, 1));
    }
}
