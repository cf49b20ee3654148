//! Which files are parts of a log now?
//!
//! In: what the path names and what lies beside it. Out: the parts in their order, each with the bytes it continues in.
//! The directory may be changing meanwhile, so a search goes on until two listings agree.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::hands::Hands;
use super::super::part::{Body, Part};
use super::super::rotated::{self, Candidate};
use super::{AtPath, Begin, Gap, Log};

/// How long to look for a file that may be just being packed or moved.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Files that move while they are listed may be missed. A list is good if its directory has not changed for so long; the
/// clocks of file systems tick every 10 ms at the slowest.
const UNCHANGED: Duration = Duration::from_millis(20);

/// How long reading waits for files that are just being moved, so that those of several rotations are read in their
/// order. Nobody minds hearing of a rotation so much later, and a directory that never rests holds up nothing for longer.
const ORDER: Duration = Duration::from_millis(100);

/// An unfinished search for files.
pub struct Search {
    begun: Instant,
    /// What [`Log::settled`] will be.
    settled: Option<i64>,
    /// Whether the file was renamed; otherwise it was cut to nothing, perhaps after somebody copied it.
    renamed: bool,
    /// The state of the directories when they were listed, and since when it has been that.
    listed: Option<(Vec<i64>, Instant)>,
    /// Since when reading waits for it.
    waits: Option<Instant>,
}

impl Search {
    /// Has found nothing yet.
    pub fn new() -> Self {
        Search {
            begun: Instant::now(),
            settled: None,
            renamed: false,
            listed: None,
            waits: None,
        }
    }

    /// Whether a file that was not found yet may come before those that were.
    pub fn holds_up(&self) -> bool {
        self.waits.is_some_and(|since| since.elapsed() < ORDER)
    }

    /// Whether the directories have not changed since they were listed some time ago.
    fn is_unchanged(&mut self, directories: Vec<i64>) -> bool {
        let listed = self.listed.as_ref();
        let unchanged = listed
            .is_some_and(|(state, when)| *state == directories && when.elapsed() >= UNCHANGED);
        if !unchanged {
            self.listed = Some((directories, Instant::now()));
        }
        unchanged
    }
}

impl Log {
    /// Finds out which files there are now.
    ///
    /// # Errors
    /// What the path names cannot be read.
    pub(super) fn settle<D>(&mut self, at_path: &AtPath, hands: &Hands<'_, D>) -> io::Result<()> {
        let mut here = match at_path {
            AtPath::File(_) => match Candidate::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            },
            AtPath::Missing => None,
            AtPath::Unmoved | AtPath::Unfit(_) => return Ok(()),
        };
        for part in &mut self.parts {
            part.refresh();
        }
        // A log that has just come has no older files.
        let is_new = self.parts.is_empty() && self.begin == Begin::Head;
        let last = self.parts.last();
        let same = self.at_path
            && matches!((&here, last), (Some(here), Some(part)) if part.lives_on_in(&here.data));
        if !same && (self.at_path || here.is_some() || self.search.is_none()) {
            self.begin_search(here.as_ref());
        }
        if is_new && let Some(search) = &mut self.search {
            search.waits = None;
        }
        let sure = is_new || self.look_around(&mut here, hands);
        let added = match here {
            Some(here) if !self.at_path && !self.is_waiting() => self.add_current(here, hands),
            _ => Ok(()),
        };
        if added.is_err() {
            // A cursor of more files would not be understood, and one may be written all the same.
            self.bound();
        }
        added?;
        let begun = self.search.as_ref().map(|search| search.begun);
        let over = sure || begun.is_some_and(|begun| begun.elapsed() > PATIENCE);
        // Without a file at the path, others may still come.
        if is_new || (over && self.at_path) {
            let search = self.search.take();
            self.settled = search
                .and_then(|search| search.settled)
                .unwrap_or(self.settled);
            self.give_up();
        }
        self.bound();
        Ok(())
    }

    /// The path names something else now. A search that is not over goes on, with what it is for.
    fn begin_search(&mut self, here: Option<&Candidate>) {
        let identity = here.map(Candidate::identity);
        let cut = identity.is_some() && self.parts.last().map(|part| part.identity) == identity;
        let search = self.search.get_or_insert_with(Search::new);
        search.begun = Instant::now();
        search.waits.get_or_insert(search.begun);
        search.renamed |= !cut;
        search.settled = here.map(Candidate::modified);
        if let Some(part) = self.parts.last_mut()
            && self.at_path
            && cut
        {
            // What was not read of it may be in a copy.
            part.lose();
        }
        self.at_path = false;
        self.stale |= here.is_some() || !self.parts.is_empty();
    }

    /// Looks for lost parts and unknown files; answers whether nothing can have been missed.
    fn look_around<D>(&mut self, here: &mut Option<Candidate>, hands: &Hands<'_, D>) -> bool {
        // Old files are where the file really is; a path may be only a link to it, and to another one now.
        if let Ok(real) = self.path.canonicalize() {
            self.real = real;
        }
        let mut paths = vec![&*self.path];
        if self.real != self.path {
            paths.push(&*self.real);
        }
        let Some(search) = &mut self.search else {
            return true;
        };
        let mut unchanged = search.is_unchanged(state_of(&paths));
        let renamed = search.renamed;
        let inodes: Vec<u64> = self.parts.iter().map(|part| part.identity.inode).collect();
        let lost = self
            .parts
            .iter()
            .any(|part| matches!(part.body, Body::Lost));
        let matters = match self.begin {
            Begin::Since(since) => since.max(self.since),
            Begin::Head => self.since,
        };
        let oldest = self.settled.max(matters.as_micros().saturating_mul(1000));
        let wanted = |data: &Metadata| lost || rotated::modified(data) >= oldest;
        let mut listing = rotated::list(&paths, &inodes, wanted);
        listing.candidates.retain(|file| !hands.follows(&file.path));
        unchanged &= search.is_unchanged(state_of(&paths));
        let sure = unchanged && !listing.unsure;
        if search.holds_up() && !sure {
            return false;
        }
        search.waits = None;
        let rotated: Vec<_> = listing
            .candidates
            .iter()
            .filter(|file| file.named)
            .map(Candidate::identity)
            .collect();
        self.return_to(here);
        self.recover(&mut listing.candidates);
        let front = match here.as_ref() {
            Some(here) => here.front.clone(),
            None if self.at_path => self
                .parts
                .last()
                .map(|part| part.front().to_vec())
                .unwrap_or_default(),
            None => Vec::new(),
        };
        // Where files are copied, one may be just being made.
        let unfinished = |file: &Candidate| {
            let begins = |part: &Part| part.front().starts_with(&file.front);
            !renamed
                && (front.starts_with(&file.front)
                    || (file.front.starts_with(&front) && !front.is_empty())
                    || self.parts.iter().any(begins))
        };
        let known = |file: &Candidate| {
            // An inode says it only of a file that is open: others get those of files that are gone.
            let is_open = |part: &Part| matches!(part.body, Body::Plain(_));
            // Two files can begin alike. Where files are renamed, one holds what another does only if it was packed, or
            // if it was copied and the other has no name of a rotated one.
            let can_be_copy = |part: &Part| {
                !renamed
                    || part.identity == file.identity()
                    || file.packing.is_some()
                    || (is_open(part) && !rotated.contains(&part.identity))
            };
            let same = |part: &Part| {
                (is_open(part) && part.identity == file.identity())
                    || (can_be_copy(part) && part.is_copied_in(&file.front, file.size()))
            };
            self.parts.iter().any(same)
        };
        // Nothing is known yet that could have been copied but the file itself.
        let is_first = self.begin != Begin::Head;
        let copy = |file: &Candidate| {
            let alike = file.front.starts_with(&front) || front.starts_with(&file.front);
            is_first && alike && !front.is_empty()
        };
        listing.candidates.retain(|file| {
            let new = file.named && file.modified() >= oldest && !file.front.is_empty();
            new && !known(file) && !unfinished(file) && !copy(file)
        });
        self.add_unknown(listing.candidates, renamed, hands);
        sure
    }

    /// The path may name a file that was read before.
    fn return_to(&mut self, here: &mut Option<Candidate>) {
        let closed = |part: &Part| matches!(part.body, Body::Lost | Body::Done);
        let is_it = |part: &Part, file: &Candidate| {
            let continued = part.reached() == 0 || part.continues(&file.front, file.data.len());
            closed(part) && part.identity == file.identity() && continued
        };
        let Some(file) = here.as_ref() else {
            return;
        };
        if let Some(index) = self.parts.iter().position(|part| is_it(part, file))
            && let Some(file) = here.take()
        {
            let mut part = self.parts.remove(index);
            let (identity, front) = (file.identity(), file.front.clone());
            part.continue_in(identity, Body::Plain(file.into_file()), front);
            self.parts.push(part);
            self.at_path = true;
        }
    }

    /// Finds lost parts: by the inode, failing that by how they begin, and packed only if they are nowhere else. Takes
    /// what it finds out of `files`.
    fn recover(&mut self, files: &mut Vec<Candidate>) {
        for part in &mut self.parts {
            if let Some(file) = files.iter().find(|file| file.identity() == part.identity) {
                // A cursor does not say it, and it is needed when the part is forgotten.
                part.note_modified(file.modified());
            }
            let lost = match part.body {
                Body::Lost => true,
                Body::Done => false,
                Body::Plain(_) | Body::Packed { .. } => continue,
            };
            let continues =
                |file: &Candidate| part.continues(&file.front, file.size().unwrap_or(u64::MAX));
            let itself = |file: &Candidate| {
                // Of one of which nothing was read, nothing but the inode is known, and that may be another file's by now.
                let is_it = if part.reached() == 0 {
                    file.named
                } else {
                    continues(file)
                };
                file.packing.is_none()
                    && file.identity() == part.identity
                    && is_it
                    // Of one that is done, only what came late matters.
                    && (lost || file.data.len() > part.reached())
            };
            let mut found = files.iter().position(itself);
            if found.is_none() && lost && part.reached() > 0 {
                let copies = files.iter().enumerate().filter(|(_, file)| continues(file));
                let best = copies
                    .max_by_key(|(_, file)| file.size().map_or(0, |size| size.saturating_add(1)));
                found = best.map(|(index, _)| index);
            }
            let Some(index) = found else {
                continue;
            };
            let file = files.remove(index);
            let (identity, front) = (file.identity(), file.front.clone());
            // What cannot be unpacked now is looked for again.
            if let Ok(body) = file.into_body(part.offset) {
                part.continue_in(identity, body, front);
            }
        }
    }

    /// What has not been found by now will not be.
    fn give_up(&mut self) {
        if self.missed().is_some() {
            self.gap = Some(Gap::AtStart);
        }
        let lost = |part: &&mut Part| matches!(part.body, Body::Lost);
        for part in self.parts.iter_mut().filter(lost) {
            part.finish();
        }
    }

    /// The file that was read last before the daemon began, if it has not been found since. Before a newer file was read,
    /// an older one had been read to its end; and one that was cut to nothing under our eyes was read up to then.
    pub(super) fn missed(&self) -> Option<&Part> {
        let newest = self.parts.iter().rfind(|part| part.is_told())?;
        (matches!(newest.body, Body::Lost) && newest.front().is_empty()).then_some(newest)
    }
}

/// The state of the directories of `paths`: another one if a file came, went or got another name.
fn state_of(paths: &[&Path]) -> Vec<i64> {
    let directories = paths.iter().filter_map(|path| path.parent());
    directories
        .map(|path| fs::metadata(path).map_or(0, |data| rotated::modified(&data)))
        .collect()
}
