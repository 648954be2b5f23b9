//! Values at numbered places, in no more memory than a pointer each.

/// Values at numbered places. A place that is freed serves the next value.
#[derive(Debug)]
pub(in crate::green) struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(in crate::green) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Puts a value in; returns its place.
    pub(in crate::green) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(value);
            return place;
        }
        self.places.push(Some(value));
        self.places.len() as u32 - 1
    }

    /// Takes the value out, and frees its place.
    pub(in crate::green) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.places.get_mut(place as usize)?.take();
        self.free.extend(value.is_some().then_some(place));
        value
    }

    pub(in crate::green) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    /// The place of the first value that is meant.
    pub(in crate::green) fn position(&self, is_meant: impl Fn(&T) -> bool) -> Option<u32> {
        let at = self.places.iter().position(|value| value.as_ref().is_some_and(&is_meant));
        at.map(|at| at as u32)
    }

    pub(in crate::green) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(in crate::green) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}
