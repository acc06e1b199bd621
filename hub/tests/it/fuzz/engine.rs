//! The corpus and how it is changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Bytes of an input.
const LENGTH_MAX: usize = 16 * 1024;

/// What is known to be worth sending, and what it showed.
pub(super) struct Pool {
    inputs: Vec<Vec<u8>>,
    outcomes: BTreeSet<String>,
}

impl Pool {
    pub(super) fn read(directory: &Path) -> Self {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        let inputs = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        Self { inputs, outcomes: BTreeSet::new() }
    }

    pub(super) fn inputs(&self) -> Vec<Vec<u8>> {
        self.inputs.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.inputs.len()
    }

    pub(super) fn outcomes(&self) -> usize {
        self.outcomes.len()
    }

    pub(super) fn add(&mut self, input: Vec<u8>) {
        self.inputs.push(input);
    }

    /// Whether an outcome is new.
    pub(super) fn saw(&mut self, outcome: String) -> bool {
        self.outcomes.insert(outcome)
    }
}

/// Writes an input into a corpus, under a name made of its contents.
pub(super) fn keep(directory: &Path, how: &str, input: &[u8]) -> PathBuf {
    let file = directory.join(format!("{how}-{}", &hex::encode(Sha256::digest(input))[..12]));
    std::fs::write(&file, input).unwrap();
    file
}

/// Changes inputs, the same way for the same seed.
pub(super) struct Mutator {
    dice: StdRng,
    words: &'static [&'static str],
}

impl Mutator {
    pub(super) fn new(seed: u64, words: &'static [&'static str]) -> Self {
        Self { dice: StdRng::seed_from_u64(seed), words }
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice.random_range(0..end.max(1))
    }

    /// A changed input of the pool.
    pub(super) fn change(&mut self, pool: &Pool) -> Vec<u8> {
        let mut input = pool.inputs[self.below(pool.inputs.len())].clone();
        for _ in 0..=self.below(4) {
            let parsed: Option<Value> = serde_json::from_slice(&input).ok();
            match parsed {
                Some(mut value) if self.below(3) > 0 => {
                    self.change_value(&mut value, 0);
                    input = value.to_string().into_bytes();
                }
                _ => self.change_bytes(&mut input, pool),
            }
        }
        input.truncate(LENGTH_MAX);
        input
    }

    fn change_value(&mut self, value: &mut Value, depth: usize) {
        let goes_down = depth < 8 && self.below(4) > 0;
        match value {
            Value::Object(fields) if goes_down && !fields.is_empty() => {
                let at = self.below(fields.len());
                if let Some((name, inner)) = fields.iter_mut().nth(at) {
                    let name = name.clone();
                    match self.below(8) {
                        0 => drop(fields.remove(&name)),
                        1 => drop(fields.insert(self.word(), json!(1))),
                        _ => self.change_value(inner, depth + 1),
                    }
                }
            }
            Value::Array(items) if goes_down && !items.is_empty() => {
                let at = self.below(items.len());
                match self.below(6) {
                    0 => drop(items.remove(at)),
                    1 => items.push(items[at].clone()),
                    _ => self.change_value(&mut items[at], depth + 1),
                }
            }
            Value::String(text) if self.below(2) == 0 => {
                let mut bytes = std::mem::take(text).into_bytes();
                self.change_bytes_alone(&mut bytes);
                *text = String::from_utf8_lossy(&bytes).into_owned();
            }
            value => *value = self.value(),
        }
    }

    fn value(&mut self) -> Value {
        match self.below(14) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(i64::MAX),
            4 => json!(u64::MAX),
            5 => json!(1e308),
            6 => json!(0.1),
            7 => json!([]),
            8 => json!({}),
            9 => json!([[[[[[]]]]]]),
            10 => json!("\u{0}\u{202e}\u{fffd}\r\n"),
            11 => json!("x".repeat(self.below(5_000))),
            12 => json!({"$ref": "#", "a": {"b": [null, 1, "x"]}}),
            _ => json!(self.word()),
        }
    }

    fn word(&mut self) -> String {
        const COMMON: [&str; 12] = [
            "",
            "id",
            "data",
            "../../etc/passwd",
            "'; drop table projects; --",
            "{{ 7 * 7 }}",
            "%00",
            "\u{1f9c9}",
            "null",
            "2026-02-30T25:61:61Z",
            "9999999999999999999999",
            "evt_00000000000000000000000000000000",
        ];
        let at = self.below(COMMON.len() + self.words.len());
        COMMON.iter().chain(self.words).nth(at).copied().unwrap_or_default().to_owned()
    }

    fn change_bytes(&mut self, input: &mut Vec<u8>, pool: &Pool) {
        if self.below(6) == 0 {
            // The end of another one.
            let other = &pool.inputs[self.below(pool.inputs.len())];
            input.truncate(self.below(input.len() + 1));
            input.extend_from_slice(&other[self.below(other.len() + 1)..]);
        } else {
            self.change_bytes_alone(input);
        }
    }

    fn change_bytes_alone(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = (at + 1 + self.below(16)).min(input.len());
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => {
                input[at] = [0, 0xff, b'"', b'\\', b'\n', b'%', b'{', 0xc3][self.below(8)];
            }
            2 if at < end => drop(input.drain(at..end)),
            3 if at < end => {
                let part = input[at..end].to_vec();
                for _ in 0..self.below(20) {
                    input.splice(at..at, part.iter().copied());
                }
            }
            4 => input.truncate(at),
            _ => {
                let word = self.word();
                input.splice(at..at, word.into_bytes());
            }
        }
    }
}
