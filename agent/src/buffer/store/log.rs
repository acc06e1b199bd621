//! The write-ahead log, read without SQLite: whether it is damaged in its middle, and what lies behind the damage.
//!
//! SQLite ends reading a log at the first frame whose checksum is wrong, which is right for the end that a power cut leaves,
//! and then writes over the rest. Where calls of two transactions lie behind such a frame, it was no power cut: the first of
//! them was synced, with all before it, ere the second began. Each frame's checksum goes on from the one before it, and both
//! are written in the file, so that the frames behind the damage can be told to be whole.
//!
//! The file's format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs;
use std::io;
use std::path::Path;

use super::leaves;
use super::salvage::PAGE;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const FRAME: usize = FRAME_HEADER + PAGE;
/// The last bit says in which order checksums take their bytes.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

type Checksum = [u32; 2];

/// A log, in memory: it is kept small.
struct Log {
    bytes: Vec<u8>,
    is_big_endian: bool,
    /// Whether its header is whole.
    is_begun: bool,
    /// Told by every frame that was written since the log began anew.
    salts: [u8; 8],
    /// Of each frame, whether its checksum goes on from what stands before it.
    whole: Vec<bool>,
}

/// Of each transaction behind a damaged frame: the highest number of a call in those of its pages that are whole.
///
/// # Errors
/// The log cannot be read. That there is none is no error.
pub(super) fn calls_behind_damage(path: &Path) -> io::Result<Vec<i64>> {
    let Some(log) = Log::read(path)? else { return Ok(Vec::new()) };
    let (mut calls, mut highest) = (Vec::new(), None);
    for frame in log.first_broken()..log.frames() {
        if log.whole[frame] {
            highest = leaves::call_numbers(log.page(frame)).into_iter().max().max(highest);
        }
        if log.ends_transaction(frame) {
            calls.extend(highest.take());
        }
    }
    Ok(calls)
}

/// Writes a damaged log anew without the frames that are not whole. `false`: there is nothing to mend.
///
/// # Errors
/// It cannot be read or written.
pub(super) fn mend(path: &Path) -> io::Result<bool> {
    let Some(log) = Log::read(path)? else { return Ok(false) };
    if !log.whole_frames().any(|frame| frame >= log.first_broken()) {
        return Ok(false);
    }
    let mut mended = Vec::with_capacity(log.bytes.len());
    for number in [MAGIC | u32::from(log.is_big_endian), VERSION, u32::try_from(PAGE).unwrap_or(0), 0] {
        mended.extend_from_slice(&number.to_be_bytes());
    }
    mended.extend_from_slice(&log.salts);
    let mut sum = log.sum([0, 0], &mended);
    mended.extend(sum.iter().flat_map(|half| half.to_be_bytes()));
    for frame in log.whole_frames() {
        let head = &log.frame(frame)[..8];
        sum = log.sum(log.sum(sum, head), log.page(frame));
        mended.extend_from_slice(head);
        mended.extend_from_slice(&log.salts);
        mended.extend(sum.iter().flat_map(|half| half.to_be_bytes()));
        mended.extend_from_slice(log.page(frame));
    }
    fs::write(path, mended)?;
    Ok(true)
}

impl Log {
    /// `None`: there is no log, or no frame in it.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        if bytes.len() < HEADER + FRAME {
            return Ok(None);
        }
        let mut log = Self { bytes, is_big_endian: false, is_begun: false, salts: [0; 8], whole: Vec::new() };
        let magic = number(&log.bytes, 0);
        log.is_big_endian = magic == MAGIC | 1;
        log.is_begun = magic | 1 == MAGIC | 1
            && log.sum([0, 0], &log.bytes[..24]) == [number(&log.bytes, 24), number(&log.bytes, 28)];
        // Without its header, what the first frame says: it was written together with it.
        let salts = if log.is_begun { 16 } else { HEADER + 8 };
        log.salts.copy_from_slice(&log.bytes[salts..salts + 8]);
        log.whole = (0..log.frames()).map(|frame| log.is_whole(frame)).collect();
        Ok(Some(log))
    }

    fn frames(&self) -> usize {
        (self.bytes.len() - HEADER) / FRAME
    }

    fn frame(&self, frame: usize) -> &[u8] {
        let begin = HEADER + frame * FRAME;
        &self.bytes[begin..begin + FRAME]
    }

    fn page(&self, frame: usize) -> &[u8] {
        &self.frame(frame)[FRAME_HEADER..]
    }

    /// The frames that are whole, in order.
    fn whole_frames(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.frames()).filter(|frame| self.whole[*frame])
    }

    /// The first frame that is not whole; where even the header is not, all are behind the damage.
    fn first_broken(&self) -> usize {
        if !self.is_begun {
            return 0;
        }
        self.whole.iter().position(|whole| !whole).unwrap_or(self.frames())
    }

    fn is_of_this_log(&self, frame: usize) -> bool {
        self.frame(frame)[8..16] == self.salts
    }

    fn ends_transaction(&self, frame: usize) -> bool {
        self.is_of_this_log(frame) && number(self.frame(frame), 4) != 0
    }

    fn is_whole(&self, number_of: usize) -> bool {
        let frame = self.frame(number_of);
        // Zeros sum up to zero, and are no frame.
        if !self.is_of_this_log(number_of) || number(frame, 0) == 0 {
            return false;
        }
        let before = match number_of.checked_sub(1) {
            Some(before) => [number(self.frame(before), 16), number(self.frame(before), 20)],
            None if self.is_begun => [number(&self.bytes, 24), number(&self.bytes, 28)],
            None => return false,
        };
        self.sum(self.sum(before, &frame[..8]), &frame[FRAME_HEADER..])
            == [number(frame, 16), number(frame, 20)]
    }

    /// The checksum of some more bytes, which are a multiple of eight.
    fn sum(&self, before: Checksum, bytes: &[u8]) -> Checksum {
        let read = if self.is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        let (words, _) = bytes.as_chunks::<4>();
        let (pairs, _) = words.as_chunks::<2>();
        pairs.iter().fold(before, |[one, other], [first, second]| {
            let one = one.wrapping_add(read(*first)).wrapping_add(other);
            [one, other.wrapping_add(read(*second)).wrapping_add(one)]
        })
    }
}

fn number(bytes: &[u8], place: usize) -> u32 {
    bytes[place..place + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
