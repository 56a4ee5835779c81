//! What was begun in one order and finished in another, put back into the first.
//!
//! Transactions end when they end, and whoever waits for one runs when there is a thread for it: of two events of one
//! key, the second may be there before the first.

use std::collections::VecDeque;

/// Places in the order of [`Arrivals::begin`].
#[derive(Debug)]
pub struct Arrivals<T> {
    /// The number of the first place.
    first: u64,
    places: VecDeque<Place<T>>,
}

#[derive(Debug)]
enum Place<T> {
    Open,
    Taken(T),
    Given,
}

impl<T> Default for Arrivals<T> {
    fn default() -> Self {
        Self {
            first: 0,
            places: VecDeque::new(),
        }
    }
}

impl<T> Arrivals<T> {
    /// The next place.
    pub fn begin(&mut self) -> u64 {
        self.places.push_back(Place::Open);
        self.first + self.places.len() as u64 - 1
    }

    /// Something has come to a place; or nothing will.
    pub fn finish(&mut self, place: u64, arrived: Option<T>) {
        let index = usize::try_from(place - self.first);
        if let Some(place) = index.ok().and_then(|index| self.places.get_mut(index)) {
            *place = arrived.map_or(Place::Given, Place::Taken);
        }
    }

    /// What comes next, once everything before it has come.
    pub fn pop(&mut self) -> Option<T> {
        loop {
            if let Place::Open = self.places.front()? {
                return None;
            }
            self.first += 1;
            if let Some(Place::Taken(arrived)) = self.places.pop_front() {
                return Some(arrived);
            }
        }
    }

    /// Whether nobody is waited for.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Everything that has come, although something before it has not.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        let places = self.places.iter_mut();
        places.filter_map(|place| match std::mem::replace(place, Place::Given) {
            Place::Taken(arrived) => Some(arrived),
            Place::Open => {
                *place = Place::Open;
                None
            }
            Place::Given => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_early_waits_for_what_was_begun_before_it() {
        let mut arrivals = Arrivals::default();
        let [first, second, third] = [(); 3].map(|()| arrivals.begin());
        arrivals.finish(third, Some("third"));
        assert_eq!(arrivals.pop(), None);
        arrivals.finish(first, Some("first"));
        assert_eq!(arrivals.pop(), Some("first"));
        assert_eq!(arrivals.pop(), None);
        let fourth = arrivals.begin();
        // It failed: nobody waits for it any more.
        arrivals.finish(second, None);
        assert_eq!(arrivals.pop(), Some("third"));
        assert_eq!(arrivals.pop(), None);
        arrivals.finish(fourth, Some("fourth"));
        assert_eq!(arrivals.pop(), Some("fourth"));
        assert!(arrivals.is_empty());
    }

    #[test]
    fn what_has_come_can_be_taken_out() {
        let mut arrivals = Arrivals::default();
        let [first, second] = [(); 2].map(|()| arrivals.begin());
        arrivals.finish(second, Some("second"));
        assert_eq!(arrivals.drain().collect::<Vec<_>>(), ["second"]);
        assert_eq!((arrivals.pop(), arrivals.is_empty()), (None, false));
        arrivals.finish(first, Some("first"));
        assert_eq!(arrivals.pop(), Some("first"));
        assert_eq!((arrivals.pop(), arrivals.is_empty()), (None, true));
    }
}
