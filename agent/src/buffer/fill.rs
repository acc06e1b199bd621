//! Warning of a buffer that fills: once at each step upwards.

const STEPS: [u64; 3] = [50, 70, 90];
/// So much below a step, it counts as left: a buffer that hovers there does not fill the log.
const SLACK: u64 = 5;

/// The highest step that was warned of.
#[derive(Debug, Default)]
pub(super) struct Fill(Option<u64>);

impl Fill {
    /// The step to warn of, when another one was crossed.
    pub(super) fn crossed(&mut self, percent: u64) -> Option<u64> {
        if self.0.is_some_and(|step| percent + SLACK < step) {
            self.0 = STEPS.into_iter().filter(|step| percent + SLACK >= *step).max();
        }
        let reached = STEPS.into_iter().filter(|step| percent >= *step).max();
        if reached <= self.0 {
            return None;
        }
        self.0 = reached;
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_warned_of_once_until_it_is_left() {
        let mut fill = Fill::default();
        let said: Vec<_> = [0, 49, 50, 51, 69, 72, 68, 71, 95, 100, 89, 91, 60, 71, 0, 50]
            .into_iter()
            .map(|percent| fill.crossed(percent))
            .collect();
        let none = None;
        let expected = [
            none,
            none,
            Some(50),
            none,
            none,
            Some(70),
            none,
            none,
            Some(90),
            none,
            none,
            none,
            none,
            Some(70),
            none,
            Some(50),
        ];
        assert_eq!(said, expected);
    }
}
