//! Which calls can still be read in the agent's database, told page by page from the bytes alone.
//!
//! It shares nothing with the agent's own recovery, which it is to judge: it reads the file format (a table's leaves, their
//! cells, chains of overflow pages) and takes what is whole. <https://www.sqlite.org/fileformat2.html>

use std::collections::BTreeSet;

use e2e::Dice;
use serde_json::Value;

/// The size of a page of the agent's database.
pub(crate) const PAGE: usize = 4_096;
/// A leaf of a table.
const TABLE_LEAF: u8 = 13;
/// The ids of the waiting calls that the pages hold whole.
pub(crate) fn readable(file: &[u8]) -> BTreeSet<String> {
    let pages: Vec<&[u8]> = file.chunks_exact(PAGE).collect();
    let mut ids = BTreeSet::new();
    for (number, page) in pages.iter().enumerate() {
        let start = if number == 0 { 100 } else { 0 };
        if page[start] != TABLE_LEAF {
            continue;
        }
        for cell in 0..number_at(page, start + 3, 2).unwrap_or(0) {
            let place = number_at(page, start + 8 + 2 * cell, 2);
            ids.extend(place.and_then(|place| payload(&pages, page, place)).and_then(|row| id_of(&row)));
        }
    }
    ids
}

/// Overwrites some pages, by chance, and gives their numbers.
pub(crate) fn overwrite(file: &mut [u8], dice: &mut Dice) -> BTreeSet<usize> {
    let pages = file.len() / PAGE;
    let most = (pages / 6).max(1) as u64;
    let mut hit = BTreeSet::new();
    for _ in 0..=dice.below(most) {
        let page = usize::try_from(dice.below(pages as u64)).unwrap_or(0);
        let kind = dice.below(3);
        for byte in &mut file[page * PAGE..(page + 1) * PAGE] {
            *byte = match kind {
                0 => 0,
                1 => b'x',
                _ => u8::try_from(dice.below(256)).unwrap_or(0),
            };
        }
        hit.insert(page);
    }
    hit
}

/// A row's bytes, gathered from its cell and the pages that it flows over into.
fn payload(pages: &[&[u8]], page: &[u8], place: usize) -> Option<Vec<u8>> {
    let (size, place) = varint(page, place)?;
    let (_seq, place) = varint(page, place)?;
    let size = usize::try_from(size).ok().filter(|size| *size < 16 << 20)?;
    let most = PAGE - 35;
    let local = if size <= most {
        size
    } else {
        let least = (PAGE - 12) * 32 / 255 - 23;
        let fitting = least + (size - least) % (PAGE - 4);
        if fitting <= most { fitting } else { least }
    };
    let mut bytes = page.get(place..place + local)?.to_vec();
    let mut next = if local < size { number_at(page, place + local, 4)? } else { 0 };
    while bytes.len() < size {
        let overflow = pages.get(next.checked_sub(1)?)?;
        let length = (size - bytes.len()).min(PAGE - 4);
        bytes.extend_from_slice(&overflow[4..4 + length]);
        next = number_at(overflow, 0, 4)?;
    }
    Some(bytes)
}

/// The id of a call, if the row is one and whole: one of its values is its body, and another the number in the id.
fn id_of(row: &[u8]) -> Option<String> {
    let (header, mut place) = varint(row, 0)?;
    let mut data = usize::try_from(header).ok()?;
    let mut values = Vec::new();
    while place < usize::try_from(header).ok()? {
        let (kind, after) = varint(row, place)?;
        place = after;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            _ => usize::try_from(kind.checked_sub(12)? / 2).ok()?,
        };
        values.push(row.get(data..data.checked_add(length)?)?);
        data += length;
    }
    let mut bodies = values.iter().filter(|value| value.first() == Some(&b'{'));
    let body: Value = bodies.find_map(|value| serde_json::from_slice(value).ok())?;
    let id = body["id"].as_str()?;
    let mut numbers = values.iter().filter_map(|value| <[u8; 16]>::try_from(*value).ok());
    let is_its_own =
        |number| id.strip_prefix("evt_") == Some(&format!("{:032x}", u128::from_be_bytes(number)));
    numbers.any(is_its_own).then(|| id.to_owned())
}

fn number_at(bytes: &[u8], place: usize, length: usize) -> Option<usize> {
    Some(bytes.get(place..place + length)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

fn varint(bytes: &[u8], mut place: usize) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for count in 0..9 {
        let byte = *bytes.get(place)?;
        place += 1;
        if count == 8 {
            return Some((number << 8 | u64::from(byte), place));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            break;
        }
    }
    Some((number, place))
}
