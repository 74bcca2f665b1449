//! A map with a stated bound that forgets what was untouched for longest.
//!
//! Readers take no lock: values are replaced whole, and a reader has the one from before or the one from after. Writers
//! wait for each other.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
pub(super) struct Bounded<K: Eq + Hash, V> {
    capacity: usize,
    entries: papaya::HashMap<K, Entry<V>>,
    by_age: Mutex<BTreeSet<(u64, K)>>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    touched: u64,
    value: V,
}

/// Ages are told apart by the minute: what is used all the time need not change its place all the time.
const AGE_MS: u64 = 60_000;

impl<K: Copy + Eq + Hash + Ord, V: Clone> Bounded<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: papaya::HashMap::new(), by_age: Mutex::default() }
    }

    pub(super) fn read<T>(&self, key: &K, look: impl FnOnce(&V) -> T) -> Option<T> {
        self.entries.pin().get(key).map(|entry| look(&entry.value))
    }

    pub(super) fn remove(&self, key: &K) -> Option<V> {
        let mut by_age = self.by_age.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.entries.pin();
        let entry = entries.remove(key)?;
        by_age.remove(&(entry.touched, *key));
        Some(entry.value.clone())
    }

    /// Changes the value of a key, which is touched now, and is made from `fresh` where there is none.
    pub(super) fn change(&self, key: K, now_ms: u64, fresh: V, change: impl FnOnce(&mut V)) {
        let mut by_age = self.by_age.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.entries.pin();
        let touched = now_ms.checked_div(AGE_MS).unwrap_or(0);
        let mut entry = match entries.get(&key) {
            Some(known) if known.touched == touched => known.clone(),
            Some(known) => {
                by_age.remove(&(known.touched, key));
                by_age.insert((touched, key));
                Entry { touched, value: known.value.clone() }
            }
            None => {
                if by_age.len() >= self.capacity
                    && let Some((_, oldest)) = by_age.pop_first()
                {
                    entries.remove(&oldest);
                }
                by_age.insert((touched, key));
                Entry { touched, value: fresh }
            }
        };
        change(&mut entry.value);
        entries.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = AGE_MS;

    #[test]
    fn the_one_untouched_for_longest_is_forgotten() {
        let map = Bounded::new(2);
        let put = |key, minute: u64, text| map.change(key, minute * MINUTE, "", |value| *value = text);
        let get = |key| map.read(&key, |value| *value);
        put(1, 10, "first");
        put(2, 20, "second");
        put(1, 30, "first");
        put(3, 40, "third");
        assert_eq!((get(1), get(2), get(3)), (Some("first"), None, Some("third")));
        assert_eq!(map.remove(&1), Some("first"));
        assert_eq!((map.entries.len(), map.by_age.lock().map(|ages| ages.len()).ok()), (1, Some(1)));
    }

    #[test]
    fn who_reads_is_not_kept_waiting_by_who_writes() {
        let map = Bounded::new(2);
        map.change(1, 0, 0, |value| *value = 7);
        map.change(1, 0, 0, |value| {
            // The writer holds its lock now.
            assert_eq!(map.read(&1, |seen| *seen), Some(7));
            *value = 8;
        });
        assert_eq!(map.read(&1, |seen| *seen), Some(8));
    }
}
