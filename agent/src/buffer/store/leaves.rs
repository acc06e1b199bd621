//! Rows that no way leads to any more, out of the pages that hold them.
//!
//! When the pages in the middle of a table's tree are gone, SQLite reaches none of the leaves below, though they are whole.
//! Here every page of the file is looked at for itself; what is a leaf of one of our tables goes, row by row, into a database
//! of its own with the same tables, where it is read as from any other. Rows that flow over into other pages are gathered
//! along their chain. Free pages are left out where the list of them can be read: they hold what was deleted. Where it cannot,
//! what the hub has already comes again, and is the same there by its id.
//!
//! The file's format: <https://www.sqlite.org/fileformat2.html>.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::salvage::PAGE;

const TABLE_LEAF: u8 = 13;
/// The first page begins with the file's header.
const HEADER: usize = 100;
/// Columns of the table of calls that wait, which no other table has as many of.
const CALL_COLUMNS: usize = 11;
/// No row of ours is larger.
const ROW_MAX: u64 = 32 * 1024 * 1024;

/// A table of ours: its name and those of its columns.
struct Table {
    name: &'static str,
    columns: Vec<String>,
}

/// Fills an empty database with what the leaves of a damaged one hold.
pub(super) fn gather(wreck: &Connection, file: &Path, into: &Connection) -> rusqlite::Result<()> {
    // What is only in the log is not in the pages yet. What cannot be brought there is not found here.
    let _ = wreck.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let Ok(file) = File::open(file) else { return Ok(()) };
    let pages = Pages(file);
    let free = free_pages(&pages);
    into.execute_batch("BEGIN")?;
    let tables = create_tables(wreck, into)?;
    for index in (0..).take_while(|index| pages.exists(*index)).filter(|index| !free.contains(index)) {
        let Some(page) = pages.get(index) else { continue };
        for (seq, mut values) in rows(&pages, &page, if index == 0 { HEADER } else { 0 }) {
            // They differ in how many columns they have; a row from before a column was added has fewer. Rows of tables that
            // are not ours are refused for their types.
            let Some(table) = tables.iter().find(|table| table.columns.len() >= values.len()) else {
                continue;
            };
            let (Some(first), false) = (values.first_mut(), table.name == "receipts") else { continue };
            *first = Value::Integer(seq);
            let names = table.columns[..values.len()].join(", ");
            let places = vec!["?"; values.len()].join(", ");
            let insert = format!("INSERT OR IGNORE INTO {} ({names}) VALUES ({places})", table.name);
            let _ = into.prepare_cached(&insert)?.execute(params_from_iter(values));
        }
    }
    into.execute_batch("COMMIT")
}

/// Makes the wreck's own tables, the one with the fewest columns first. The receipts stay empty: they are only asked for.
fn create_tables(wreck: &Connection, into: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut tables = Vec::new();
    for name in ["operations", "dead_letters", "receipts"] {
        let sql = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?1";
        let Some(create) = wreck.query_row(sql, [name], |row| row.get::<_, String>(0)).optional()? else {
            continue;
        };
        into.execute_batch(&create)?;
        let mut columns = into.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let columns = columns.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        tables.push(Table { name, columns });
    }
    tables.sort_by_key(|table| table.columns.len());
    Ok(tables)
}

/// The file's pages, read one at a time, counted from 0.
struct Pages(File);

impl Pages {
    fn get(&self, index: usize) -> Option<Vec<u8>> {
        let mut page = vec![0; PAGE];
        self.0.read_exact_at(&mut page, u64::try_from(index.checked_mul(PAGE)?).ok()?).ok()?;
        Some(page)
    }

    fn exists(&self, index: usize) -> bool {
        let pages = self.0.metadata().map_or(0, |metadata| metadata.len() / PAGE as u64);
        u64::try_from(index).is_ok_and(|index| index < pages)
    }
}

/// The rows of a leaf, with their numbers; none when it is not one.
fn rows(pages: &Pages, page: &[u8], start: usize) -> Vec<(i64, Vec<Value>)> {
    if page.get(start) != Some(&TABLE_LEAF) {
        return Vec::new();
    }
    let cells = number(page, start + 3, 2).unwrap_or(0).min(PAGE / 2);
    (0..cells)
        .filter_map(|cell| {
            let place = number(page, start + 8 + 2 * cell, 2)?;
            let (seq, row) = payload(pages, page, place)?;
            Some((seq, record(&row)?))
        })
        .collect()
}

/// The numbers of the calls that a page holds that wait for the hub; none when it is no leaf of their table.
pub(super) fn call_numbers(page: &[u8]) -> Vec<i64> {
    if page.first() != Some(&TABLE_LEAF) {
        return Vec::new();
    }
    let cells = number(page, 3, 2).unwrap_or(0).min(PAGE / 2);
    (0..cells)
        .filter_map(|cell| {
            let (_, place) = varint(page, number(page, 8 + 2 * cell, 2)?)?;
            let (seq, place) = varint(page, place)?;
            let (header, first) = varint(page, place)?;
            let end = place.checked_add(usize::try_from(header).ok()?)?;
            let mut next = first;
            let mut columns = 0;
            while next < end {
                (_, next) = varint(page, next)?;
                columns += 1;
            }
            (columns == CALL_COLUMNS && next == end).then_some(seq.cast_signed())
        })
        .collect()
}

/// A cell's row number and its bytes, gathered from the pages that they flow over into.
fn payload(pages: &Pages, page: &[u8], place: usize) -> Option<(i64, Vec<u8>)> {
    let (size, place) = varint(page, place)?;
    let (seq, place) = varint(page, place)?;
    let size = usize::try_from(Some(size).filter(|size| *size <= ROW_MAX)?).ok()?;
    let most = PAGE - 35;
    let local = if size <= most {
        size
    } else {
        let least = (PAGE - 12) * 32 / 255 - 23;
        let fitting = least + (size - least) % (PAGE - 4);
        if fitting <= most { fitting } else { least }
    };
    let mut bytes = page.get(place..place + local)?.to_vec();
    let mut next = if local < size { number(page, place + local, 4)? } else { 0 };
    while bytes.len() < size {
        let overflow = pages.get(next.checked_sub(1)?)?;
        bytes.extend_from_slice(overflow.get(4..4 + (size - bytes.len()).min(PAGE - 4))?);
        next = number(&overflow, 0, 4)?;
    }
    Some((seq.cast_signed(), bytes))
}

/// The values of a row.
fn record(row: &[u8]) -> Option<Vec<Value>> {
    let (header, mut place) = varint(row, 0)?;
    let header = usize::try_from(header).ok().filter(|header| *header <= row.len())?;
    let mut values = Vec::new();
    let mut data = header;
    while place < header {
        let (kind, after) = varint(row, place)?;
        place = after;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            _ => usize::try_from(kind.checked_sub(12)? / 2).ok()?,
        };
        let bytes = row.get(data..data.checked_add(length)?)?;
        data += length;
        values.push(match kind {
            0 => Value::Null,
            1..=6 => Value::Integer(integer(bytes)),
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
        });
    }
    Some(values)
}

/// The pages that the file's own list says are free, as far as it can be followed.
fn free_pages(pages: &Pages) -> HashSet<usize> {
    let mut free = HashSet::new();
    let mut trunk = pages.get(0).and_then(|page| number(&page, 32, 4)).unwrap_or(0);
    while let Some(index) = trunk.checked_sub(1).filter(|index| free.insert(*index)) {
        let Some(page) = pages.get(index) else { break };
        let leaves = number(&page, 4, 4).unwrap_or(0).min(PAGE / 4 - 2);
        free.extend((0..leaves).filter_map(|leaf| number(&page, 8 + 4 * leaf, 4)?.checked_sub(1)));
        trunk = number(&page, 0, 4).unwrap_or(0);
    }
    free
}

/// A signed number of 1 to 8 bytes.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
}

fn number(bytes: &[u8], place: usize, length: usize) -> Option<usize> {
    Some(bytes.get(place..place + length)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

fn varint(bytes: &[u8], place: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for (count, byte) in bytes.get(place..)?.iter().take(9).enumerate() {
        if count == 8 {
            return Some((number << 8 | u64::from(*byte), place + 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if *byte < 0x80 {
            return Some((number, place + count + 1));
        }
    }
    None
}
