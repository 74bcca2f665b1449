//! Numbers for what is counted, which stay the same when a configuration is read again: a budget or a counter that goes
//! and comes back finds its accounts.

/// The most that is remembered, of what is configured and of what once was; what was named longest ago is forgotten.
const CAPACITY: usize = 4_096;

/// Each thing's number. Numbers are never used again.
#[derive(Debug)]
pub(super) struct Numbers<K> {
    known: Vec<(K, u64)>,
    next: u64,
}

impl<K: PartialEq> Numbers<K> {
    pub(super) const fn new() -> Self {
        Self { known: Vec::new(), next: 0 }
    }

    /// The number of a thing: its own since it was first named.
    pub(super) fn of(&mut self, key: K) -> u64 {
        let place = self.known.iter().position(|(known, _)| *known == key);
        let entry = match place {
            Some(place) => self.known.remove(place),
            None => {
                self.next = self.next.saturating_add(1);
                (key, self.next)
            }
        };
        if self.known.len() >= CAPACITY {
            self.known.remove(0);
        }
        let number = entry.1;
        self.known.push(entry);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_has_its_number_and_no_number_comes_back() {
        let mut numbers = Numbers::new();
        let first = numbers.of(0);
        for other in 1..CAPACITY {
            assert_ne!(numbers.of(other), first);
        }
        assert_eq!(numbers.of(0), first);
        assert_eq!(numbers.of(CAPACITY), numbers.next, "one more than are remembered");
        assert_eq!(numbers.known.len(), CAPACITY);
        assert_eq!(numbers.of(0), first);
        let again = numbers.of(1);
        assert_eq!(again, numbers.next, "the one named longest ago was forgotten");
    }
}
