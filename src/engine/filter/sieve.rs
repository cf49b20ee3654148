//! Which messages can no pattern take?
//!
//! In: texts of which a message must hold one, and bytes: one message, or many lines. Out: where such texts stand.
//! No pattern is tried here.
//!
//! The texts are found by samples: of every text, each four bytes within a window of it are known by a table, so it is
//! enough to look at every so manyth place of the bytes, as many as the window has room for. How many texts there are
//! makes no difference, and one look does not wait for the other, unlike the steps of an automaton. The window of a short
//! text begins with the byte before it, whatever that is.

use std::array::from_fn;
use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt};

use super::everyday;
use super::literal::{CASE, SHORTEST, rarity};

/// What a sample has.
const GRAM: usize = SHORTEST;

/// The longest window. A longer one finds nothing faster: most of the time goes into reading the bytes.
const LONGEST_WINDOW: usize = 11;

/// How far the places are apart then.
const LONGEST_STRIDE: usize = LONGEST_WINDOW - GRAM + 1;

/// A shorter window is one byte longer than the text: what may stand there is soon listed, and to look at every place
/// or at every second one takes much longer.
const SHORT_WINDOW: usize = 6;

/// What may stand before so many short texts fills a tenth of the largest table; with more of them it would be full.
const MOST_SHORT: usize = 48;

/// How many places the table has for a sample: hits by chance are then rare.
const ROOM: usize = 128;

/// The smallest and the largest table; as many bytes as these are in the processor's own memory.
const TABLE: (usize, usize) = (1 << 13, 1 << 18);

/// So many places are looked at before anything is decided: nearly always there is nothing, and the looks then go on side
/// by side.
const AT_ONCE: usize = 4;

/// What a sample that another text has too makes up for in rarity: looking at all of them takes time.
const SHARED: u32 = 32;

/// For how many texts each line counts in which a sample stands that is written all day long: it is found in vain there.
const EVERYDAY: u32 = 64;

/// An index of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sieve {
    /// At which hashes there are samples.
    table: Box<[bool]>,
    /// By how much a product is shifted to make a hash.
    shift: u32,
    /// How far the places are apart that are looked at.
    stride: usize,
    /// Where the samples of each bucket begin; the bucket is a part of the hash.
    buckets: Box<[usize]>,
    samples: Box<[Sample]>,
    texts: Box<[Text]>,
    /// Whether objects are looked at too, whatever stands in them.
    keeps_objects: bool,
}

/// Four bytes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    gram: u32,
    text: usize,
    /// Where they stand, from the byte before it on.
    offset: usize,
    /// Where four other bytes stand in it, and which: the ones that the fewest texts have. Many may have a word in common.
    other: (usize, u32),
}

/// A text, folded, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    bytes: Box<[u8]>,
    owners: Box<[usize]>,
}

impl Sieve {
    /// An index of texts, each with the number that it stands for. All are folded and have at least [`SHORTEST`] bytes. A
    /// log may be full of what stands for some numbers, and one that `is_rare` should not be looked for there in vain.
    pub(super) fn new(texts: Vec<(Vec<u8>, usize)>, is_rare: impl Fn(usize) -> bool) -> Self {
        let mut owners: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (bytes, owner) in texts {
            owners.entry(bytes).or_default().push(owner);
        }
        let texts: Vec<_> = owners.into_iter().collect();
        let shortest = texts.iter().map(|(bytes, _)| bytes.len()).min();
        let shortest = shortest.unwrap_or(LONGEST_WINDOW);
        let short = texts.iter().filter(|(bytes, _)| bytes.len() == shortest);
        let window = match shortest < SHORT_WINDOW && short.count() <= MOST_SHORT {
            true => shortest + 1,
            false => shortest.min(LONGEST_WINDOW),
        };
        let stride = window - GRAM + 1;
        let mut samples: Vec<Sample> = Vec::with_capacity(texts.len() * stride);
        let all_rare = |owners: &[usize]| owners.iter().all(|owner| is_rare(*owner));
        let (rare, common): (Vec<_>, Vec<_>) =
            texts.iter().partition(|(_, owners)| all_rare(owners));
        let mut counts = HashMap::with_capacity(texts.len() * LONGEST_WINDOW);
        count(common, &mut counts);
        let mut all = counts.clone();
        count(rare, &mut all);
        for line in everyday::LINES {
            for gram in line
                .as_bytes()
                .windows(GRAM)
                .map(folded)
                .collect::<BTreeSet<_>>()
            {
                *counts.entry(gram).or_default() += EVERYDAY;
            }
        }
        for (text, (bytes, _)) in texts.iter().enumerate() {
            let grams = || bytes.windows(GRAM).map(folded).enumerate();
            let other = grams().min_by_key(|(_, gram)| all.get(gram));
            let other = other.unwrap_or_default();
            let mut sample = |offset, gram| {
                samples.push(Sample {
                    gram,
                    text,
                    offset,
                    other,
                });
            };
            let start = match bytes.len() < window {
                true => {
                    before(bytes).for_each(|gram| sample(0, gram));
                    0
                }
                false => best_window(bytes, window, &counts),
            };
            let sampled = grams().skip(start).take(stride);
            sampled.for_each(|(offset, gram)| sample(offset + 1, gram));
        }
        let room = (samples.len() * ROOM).next_power_of_two();
        let room = room.clamp(TABLE.0, TABLE.1);
        let shift = u32::BITS - room.trailing_zeros();
        let count = samples.len().next_power_of_two();
        let bucket = |sample: &Sample| hash(sample.gram, shift) % count;
        samples.sort_by_key(bucket);
        let begins = |number: usize| samples.partition_point(|sample| bucket(sample) < number);
        let mut table = vec![false; room];
        for sample in &samples {
            table[hash(sample.gram, shift)] = true;
        }
        Sieve {
            table: table.into(),
            shift,
            stride,
            buckets: (0..=count).map(begins).collect(),
            samples: samples.into(),
            texts: texts
                .into_iter()
                .map(|(bytes, owners)| Text {
                    bytes: bytes.into(),
                    owners: owners.into(),
                })
                .collect(),
            keeps_objects: false,
        }
    }

    /// The same for lines of which those are looked at, too, in which an object may stand, if somebody looks at `objects`.
    pub(super) fn keeping(self, objects: bool) -> Self {
        Sieve {
            keeps_objects: objects,
            ..self
        }
    }

    /// Whether an object is looked at, whatever stands in it.
    pub(super) fn keeps_objects(&self) -> bool {
        self.keeps_objects
    }

    /// The texts in `bytes`, by the numbers that each stands for and where it begins. The same one may come several
    /// times.
    pub(super) fn places<'b>(&'b self, bytes: &'b [u8]) -> Places<'b> {
        Places {
            sieve: self,
            bytes,
            place: 0,
            gram: 0,
            samples: Default::default(),
        }
    }

    /// The first place from `place` on at which there may be a sample.
    fn skip(&self, bytes: &[u8], place: usize) -> Option<usize> {
        // A distance that is known when this is compiled takes a third less time.
        match self.stride {
            1 => self.skip_by::<1>(bytes, place),
            2 => self.skip_by::<2>(bytes, place),
            3 => self.skip_by::<3>(bytes, place),
            4 => self.skip_by::<4>(bytes, place),
            5 => self.skip_by::<5>(bytes, place),
            6 => self.skip_by::<6>(bytes, place),
            7 => self.skip_by::<7>(bytes, place),
            _ => self.skip_by::<LONGEST_STRIDE>(bytes, place),
        }
    }

    fn skip_by<const STRIDE: usize>(&self, bytes: &[u8], mut place: usize) -> Option<usize> {
        // With its end it is read at once, not byte by byte.
        let may_be = |bytes: &[u8], at: usize| {
            let gram = folded(&bytes[at..at + GRAM]);
            self.table[hash(gram, self.shift)]
        };
        while let Some(ahead) = bytes.get(place..place + (AT_ONCE - 1) * STRIDE + GRAM) {
            let found: [bool; AT_ONCE] = from_fn(|number| may_be(ahead, number * STRIDE));
            if found[0] | found[1] | found[2] | found[3] {
                break;
            }
            place += AT_ONCE * STRIDE;
        }
        while place + GRAM <= bytes.len() {
            if may_be(bytes, place) {
                return Some(place);
            }
            place += STRIDE;
        }
        None
    }

    /// The text of `sample`, if it stands there as a whole.
    fn confirm(&self, bytes: &[u8], place: usize, sample: &Sample) -> Option<(&[usize], usize)> {
        let start = (place + 1).checked_sub(sample.offset)?;
        let (offset, gram) = sample.other;
        if folded(bytes.get(start + offset..start + offset + GRAM)?) != gram {
            return None;
        }
        let text = &self.texts[sample.text];
        let there = bytes.get(start..start + text.bytes.len())?;
        is_same(there, &text.bytes).then_some((&*text.owners, start))
    }
}

/// Goes through bytes from sample to sample.
pub(super) struct Places<'b> {
    sieve: &'b Sieve,
    bytes: &'b [u8],
    /// Where to look next.
    place: usize,
    /// What was seen last.
    gram: u32,
    /// What it may be.
    samples: std::slice::Iter<'b, Sample>,
}

impl<'b> Iterator for Places<'b> {
    type Item = (&'b [usize], usize);

    fn next(&mut self) -> Option<Self::Item> {
        let Sieve {
            shift,
            stride,
            buckets,
            samples,
            ..
        } = self.sieve;
        loop {
            for sample in self.samples.by_ref() {
                if sample.gram == self.gram
                    && let Some(hit) = self.sieve.confirm(self.bytes, self.place - stride, sample)
                {
                    return Some(hit);
                }
            }
            let place = self.sieve.skip(self.bytes, self.place)?;
            self.gram = folded(self.bytes.get(place..place + GRAM)?);
            self.place = place + stride;
            let bucket = hash(self.gram, *shift) & (buckets.len() - 2);
            self.samples = samples[buckets[bucket]..buckets[bucket + 1]].iter();
        }
    }
}

/// Counts how many times each four bytes stand in texts.
fn count(texts: Vec<&(Vec<u8>, Vec<usize>)>, counts: &mut HashMap<u32, u32>) {
    for gram in texts.iter().flat_map(|(bytes, _)| bytes.windows(GRAM)) {
        *counts.entry(folded(gram)).or_default() += 1;
    }
}

/// Where the window begins whose bytes are the rarest, in logs and in the other texts.
fn best_window(text: &[u8], window: usize, counts: &HashMap<u32, u32>) -> usize {
    let worth = |bytes: &[u8]| {
        let grams = bytes.windows(GRAM).map(folded);
        let others: u32 = grams.filter_map(|gram| counts.get(&gram)).sum();
        i64::from(rarity(bytes)) - i64::from(others) * i64::from(SHARED)
    };
    let windows = text.windows(window).enumerate();
    let best = windows.max_by_key(|(_, bytes)| worth(bytes));
    best.map_or(0, |(start, _)| start)
}

/// What may stand at the place before a text, folded.
fn before(text: &[u8]) -> impl Iterator<Item = u32> {
    let bytes = (0..=u8::MAX).filter(|byte| byte & CASE != 0);
    bytes.map(|byte| folded(&[byte, text[0], text[1], text[2]]))
}

/// Whether bytes that are folded are a text as long as they. Eight at once, and the last eight again: the compiler makes more
/// of a comparison byte by byte, but most texts are too short for it.
fn is_same(bytes: &[u8], text: &[u8]) -> bool {
    const FOLD: u64 = u64::from_le_bytes([CASE; 8]);
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let same = |(bytes, text): (&[u8; 8], &[u8; 8])| number(bytes) | FOLD == number(text);
    match bytes.last_chunk().zip(text.last_chunk()) {
        Some(last) => {
            let pairs = bytes.as_chunks().0.iter().zip(text.as_chunks().0);
            same(last) && pairs.into_iter().all(same)
        }
        None => bytes.iter().zip(text).all(|(byte, of)| byte | CASE == *of),
    }
}

/// The first bytes as one number, folded.
fn folded(bytes: &[u8]) -> u32 {
    let gram = [bytes[0], bytes[1], bytes[2], bytes[3]];
    u32::from_le_bytes(gram) | u32::from_le_bytes([CASE; GRAM])
}

/// A place in the table.
fn hash(gram: u32, shift: u32) -> usize {
    // Knuth's constant: the golden ratio, which spreads what differs in few bits.
    (gram.wrapping_mul(0x9E37_79B1) >> shift) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sieve(texts: &[&str]) -> Sieve {
        let texts = texts.iter().enumerate();
        let folded = |text: &&str| text.bytes().map(|byte| byte | CASE).collect();
        Sieve::new(
            texts.map(|(owner, text)| (folded(text), owner)).collect(),
            |owner| owner % 3 == 0,
        )
    }

    /// The texts in `bytes`, found one by one.
    fn naive(texts: &[String], bytes: &[u8]) -> Vec<(usize, usize)> {
        let folded: Vec<u8> = bytes.iter().map(|byte| byte | CASE).collect();
        let mut places = Vec::new();
        for (owner, text) in texts.iter().enumerate() {
            let text: Vec<u8> = text.bytes().map(|byte| byte | CASE).collect();
            let starts = folded.windows(text.len()).enumerate();
            places.extend(
                starts
                    .filter(|(_, there)| *there == text)
                    .map(|(at, _)| (owner, at)),
            );
        }
        places.sort_unstable();
        places
    }

    #[test]
    fn nothing_is_looked_at_in_what_is_written_all_day() {
        let texts = [
            "authenticating is not the same",
            "a session of root is no more",
            "connect from nobody at all",
        ];
        let sieve = sieve(&texts);
        for line in everyday::LINES {
            assert_eq!(sieve.skip(line.as_bytes(), 0), None, "{line}");
        }
        for text in texts {
            assert!(sieve.skip(text.as_bytes(), 0).is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_found_wherever_it_stands(
            texts in proptest::collection::vec("[abA \n*]{4,20}", 1..40),
            bytes in "[abA \n*]{0,120}",
            inside in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = bytes.into_bytes();
            let text = &texts[inside.index(texts.len())];
            let place = at.index(bytes.len() + 1);
            bytes.splice(place..place, text.bytes());
            let names: Vec<&str> = texts.iter().map(String::as_str).collect();
            let sieve = sieve(&names);
            let of = |(owners, start): (&[usize], usize)| owners.iter().map(move |owner| (*owner, start)).collect::<Vec<_>>();
            let mut places: Vec<_> = sieve.places(&bytes).flat_map(of).collect();
            places.sort_unstable();
            places.dedup();
            prop_assert_eq!(places, naive(&texts, &bytes));
        }
    }
}
