//! The next timer of every session: a heap in which each session stands once, so that idle ones cost nothing and
//! moving a deadline costs the logarithm of their number.

use super::Time;

/// Deadlines by session index.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Time, u32)>,
    /// Where each index stands in the heap; `NOWHERE` if it does not.
    places: Vec<u32>,
}

/// Children of an entry. They lie side by side, and whatever moves up or down among ten thousand sessions passes four
/// others, not thirteen.
const ARITY: usize = 8;

const NOWHERE: u32 = u32::MAX;

impl Deadlines {
    /// Sets, moves or removes the deadline of `index`.
    pub(crate) fn set(&mut self, index: u32, deadline: Option<Time>) {
        if self.places.len() <= index as usize {
            if deadline.is_none() {
                return;
            }
            self.places.resize(index as usize + 1, NOWHERE);
        }
        match (self.places[index as usize], deadline) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(time)) => {
                self.heap.push((time, index));
                self.rise(self.heap.len() - 1);
            }
            (place, Some(time)) => {
                let place = place as usize;
                if self.heap[place].0 != time {
                    self.heap[place].0 = time;
                    self.rise(place);
                    self.sink(self.places[index as usize] as usize);
                }
            }
            (place, None) => {
                let place = place as usize;
                self.places[index as usize] = NOWHERE;
                let last = self.heap.pop().expect("it holds at least this entry");
                if last.1 != index {
                    self.heap[place] = last;
                    self.places[last.1 as usize] = place as u32;
                    self.rise(place);
                    self.sink(self.places[last.1 as usize] as usize);
                }
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.first().map(|&(time, _)| time)
    }

    /// Removes and returns an index whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<u32> {
        let &(time, index) = self.heap.first()?;
        if time > now {
            return None;
        }
        self.set(index, None);
        Some(index)
    }

    fn rise(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent].0 <= entry.0 {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let first = ARITY * place + 1;
            let end = (first + ARITY).min(self.heap.len());
            let Some((&head, others)) = self.heap.get(first..end).and_then(<[_]>::split_first)
            else {
                break;
            };
            let (mut child, mut earliest) = (first, head);
            for (other, &at) in others.iter().enumerate() {
                if at.0 < earliest.0 {
                    (child, earliest) = (first + 1 + other, at);
                }
            }
            if entry.0 <= earliest.0 {
                break;
            }
            self.put(place, earliest);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: (Time, u32)) {
        self.heap[place] = entry;
        self.places[entry.1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_map(
            steps in prop::collection::vec((0u32..40, prop::option::of(0u64..100)), 0..400),
        ) {
            let mut deadlines = Deadlines::default();
            let mut model = BTreeMap::new();
            for (index, time) in steps {
                deadlines.set(index, time.map(Time::from_millis));
                match time {
                    Some(time) => model.insert(index, time),
                    None => model.remove(&index),
                };
                prop_assert_eq!(
                    deadlines.next(),
                    model.values().min().copied().map(Time::from_millis)
                );
            }
            let mut last = Time::ZERO;
            while let Some(next) = deadlines.next() {
                prop_assert!(last <= next);
                last = next;
                let index = deadlines.pop_due(next).expect("it is due");
                prop_assert_eq!(model.remove(&index).map(Time::from_millis), Some(next));
            }
            prop_assert!(model.is_empty());
        }
    }
}
