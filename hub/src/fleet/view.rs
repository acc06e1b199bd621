//! Who the hubs are, as one of them sees it.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// How many hubs there are, and which of them, by their numbers, this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    hubs: u32,
    rank: u32,
}

/// The last view; none yet is zero.
#[derive(Debug, Default)]
pub(super) struct Views(AtomicU64);

impl Views {
    pub(super) fn get(&self) -> View {
        let packed = self.0.load(Ordering::Relaxed);
        let [hubs, rank] =
            [packed >> 32, packed & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(0));
        View { hubs, rank }
    }

    /// True if it is another than before.
    pub(super) fn set(&self, view: View) -> bool {
        let packed = u64::from(view.hubs) << 32 | u64::from(view.rank);
        self.0.swap(packed, Ordering::Relaxed) != packed
    }
}

impl View {
    /// That of the hub with this number. Of one that is no member, nothing is known.
    pub fn new(own: Option<i32>, serving: &[i32]) -> Self {
        let Some(own) = own else { return Self { hubs: 0, rank: 0 } };
        let others = serving.iter().filter(|number| **number != own);
        let count = |numbers: usize| u32::try_from(numbers).unwrap_or(u32::MAX);
        let rank = count(others.clone().filter(|number| **number < own).count());
        Self { hubs: count(others.count()).saturating_add(1), rank }
    }

    /// How many hubs there are; 0: nobody has looked yet.
    pub fn hubs(self) -> u32 {
        self.hubs
    }

    /// How many of an endpoint's places are this hub's. What does not divide falls to hubs that the endpoint's id chooses, so
    /// that endpoints with few places are not all the same hub's. The claim of deliveries says the same in SQL.
    pub fn places(self, endpoint: Uuid, places: i32) -> i32 {
        let hubs = i32::try_from(self.hubs.max(1)).unwrap_or(i32::MAX);
        let rank = i32::try_from(self.rank).unwrap_or(0);
        let [.., high, low] = *endpoint.as_bytes();
        let first = i32::from(u16::from_be_bytes([high, low])) % hubs;
        let is_extra = (rank + hubs - first) % hubs < places % hubs;
        places / hubs + i32::from(is_extra)
    }

    /// The hubs and this one's rank, as a statement takes them.
    pub fn parts(self) -> (i32, i32) {
        (i32::try_from(self.hubs.max(1)).unwrap_or(i32::MAX), i32::try_from(self.rank).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hubs_places_are_together_the_endpoints() {
        for hubs in 1..=5_i32 {
            let numbers: Vec<i32> = (0..hubs).map(|number| number * 3 + 1).collect();
            let views: Vec<View> = numbers.iter().map(|own| View::new(Some(*own), &numbers)).collect();
            let mut got = vec![0; views.len()];
            for id in 0..60_u128 {
                for places in [1, 2, 3, 10, 100] {
                    let parts: Vec<i32> =
                        views.iter().map(|view| view.places(Uuid::from_u128(id), places)).collect();
                    assert_eq!(parts.iter().sum::<i32>(), places, "{hubs} hubs");
                    assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1, "{parts:?}");
                    got.iter_mut().zip(&parts).for_each(|(got, part)| *got += i32::from(places == 1) * part);
                }
            }
            // Endpoints with a single place are spread over the hubs.
            assert_eq!(got, vec![60 / hubs; views.len()]);
        }
    }

    #[test]
    fn a_hub_that_the_others_do_not_see_yet_counts_itself() {
        let view = View::new(Some(5), &[2, 9]);
        assert_eq!((view.hubs(), view.parts()), (3, (3, 1)));
        assert_eq!(View::new(Some(5), &[5]).hubs(), 1);
        let unseen = View::new(None, &[2, 9]);
        assert_eq!((unseen.hubs(), unseen.places(Uuid::nil(), 7)), (0, 7));
    }
}
