//! Ids and secrets that follow from the seed alone.
//!
//! The generator is `SplitMix64`, written out here because its output must never change: a seed noted in a
//! failing test has to give the same ids after an upgrade of any crate.

use uuid::Builder;

/// A stream of numbers that follows from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// A stream of its own for one purpose, so that drawing for one does not shift another.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut draws = Self(seed ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        draws.next();
        draws
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero and is small enough for the bias not to matter.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap_or(0)
    }

    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        bytes
    }

    pub(crate) fn uuid(&mut self) -> String {
        Builder::from_random_bytes(self.bytes()).into_uuid().to_string()
    }

    /// 32 hex digits, the shape of card tokens and of the secret part of access tokens.
    pub(crate) fn hex(&mut self) -> String {
        hex::encode(self.bytes())
    }
}

/// The ids of everything the simulator makes.
#[derive(Clone, Debug)]
pub(crate) struct IdSource {
    draws: Draws,
    payment: i64,
    refund: i64,
    order: i64,
    user: i64,
}

impl IdSource {
    pub(crate) fn new(seed: u64) -> Self {
        let mut draws = Draws::new(seed, 1);
        let base = i64::from(draws.below(40_000_000)) * 1_000;
        Self {
            draws,
            // Twelve digits, past 32 bits: what a client must be able to hold.
            payment: 120_000_000_000 + base,
            refund: 1_600_000_000,
            order: 24_000_000_000 + base / 10,
            user: 2_100_000_000 + base / 1_000,
        }
    }

    pub(crate) fn payment(&mut self) -> i64 {
        self.payment += 1 + i64::from(self.draws.below(900));
        self.payment
    }

    pub(crate) fn refund(&mut self) -> i64 {
        self.refund += 1 + i64::from(self.draws.below(90));
        self.refund
    }

    pub(crate) fn order(&mut self) -> i64 {
        self.order += 1 + i64::from(self.draws.below(900));
        self.order
    }

    pub(crate) fn user(&mut self) -> i64 {
        self.user += 1 + i64::from(self.draws.below(90));
        self.user
    }

    pub(crate) fn draws(&mut self) -> &mut Draws {
        &mut self.draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (mut a, mut b, mut c) = (IdSource::new(7), IdSource::new(7), IdSource::new(8));
        assert_eq!(a.payment(), b.payment());
        assert_eq!(a.draws().uuid(), b.draws().uuid());
        assert_ne!(a.payment(), c.payment());
    }

    #[test]
    fn payment_ids_do_not_fit_in_32_bits_and_rise() {
        let mut ids = IdSource::new(1);
        let (first, second) = (ids.payment(), ids.payment());
        assert!(first > i64::from(u32::MAX));
        assert!(second > first);
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut draws = Draws(1_234_567);
        assert_eq!(draws.next(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next(), 3_203_168_211_198_807_973);
    }
}
