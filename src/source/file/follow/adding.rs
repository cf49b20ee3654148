//! Where does a new file stand among the parts of a log, and where does it begin?
//!
//! In: files that were not read yet. Out: parts, in their order.

use std::io;

use super::super::begin;
use super::super::encoding::Coding;
use super::super::hands::Hands;
use super::super::part::{Body, Part};
use super::super::rotated::Candidate;
use super::{Begin, Log};
use crate::engine::record::line::Format;
use crate::engine::record::outputs::Unfinished;
use crate::engine::time::Timestamp;

impl Log {
    /// Takes in files that came and went again since the last look, before the current one.
    pub(super) fn add_unknown<D>(
        &mut self,
        files: Vec<Candidate>,
        renamed: bool,
        hands: &Hands<'_, D>,
    ) {
        // What is just being packed is there twice; the one that is not packed is whole.
        let mut files: Vec<_> = files.into_iter().enumerate().collect();
        files.sort_by_key(|(_, file)| file.packing.is_some());
        let mut added: Vec<(usize, Part)> = Vec::new();
        for (at, file) in files {
            let copied = |(_, part): &(usize, Part)| {
                let can_be_copy = !renamed
                    || part.identity == file.identity()
                    || (file.packing.is_some() && matches!(part.body, Body::Plain(_)));
                can_be_copy && part.is_copied_in(&file.front, file.size())
            };
            if added.iter().any(copied) {
                continue;
            }
            let (identity, front) = (file.identity(), file.front.clone());
            let Ok(body) = file.into_body(0) else {
                continue;
            };
            let mut part = Part::new(identity, body, front, 0);
            if let Begin::Since(since) = self.begin
                && begin_since(&mut part, since, hands).is_err()
            {
                continue;
            }
            added.push((at, part));
        }
        // Oldest first, as they were listed.
        added.sort_by_key(|(at, _)| *at);
        self.stale |= !added.is_empty();
        let place = self.parts.len() - usize::from(self.at_path);
        self.parts
            .splice(place..place, added.into_iter().map(|(_, part)| part));
    }

    /// Takes in the file that the path names now.
    pub(super) fn add_current<D>(
        &mut self,
        here: Candidate,
        hands: &Hands<'_, D>,
    ) -> io::Result<()> {
        let (identity, front) = (here.identity(), here.front.clone());
        let open = |part: &Part| part.identity == identity && matches!(part.body, Body::Plain(_));
        if let Some(index) = self.parts.iter().position(open) {
            // It was renamed and has its old name again.
            let part = self.parts.remove(index);
            self.parts.push(part);
            self.at_path = true;
            return Ok(());
        }
        let size = here.data.len();
        let mut part = Part::new(identity, Body::Plain(here.into_file()), front, 0);
        if let Begin::Since(since) = self.begin {
            begin_since(&mut part, since, hands)?;
        }
        if self.missed().is_some() {
            // A line of a container may have begun in what is not there.
            self.reader.resume(Unfinished::BOTH);
        }
        self.begin = Begin::Head;
        if let Some(last) = self.parts.last_mut()
            && let Body::Plain(_) = last.body
            && !last.front().is_empty()
            && part.front().starts_with(last.front())
            && last.reached() > 0
            && size >= last.reached()
        {
            // Somebody has put an edited copy of what was read into its place.
            part.take_over(last);
            last.finish();
        }
        self.parts.push(part);
        self.at_path = true;
        Ok(())
    }
}

/// Leaves out what is older in a file that was never read.
fn begin_since<D>(part: &mut Part, since: Timestamp, hands: &Hands<'_, D>) -> io::Result<()> {
    let Body::Plain(file) = &part.body else {
        // It cannot be searched, only read.
        part.since = Some(since);
        return Ok(());
    };
    let Some(coding) = Coding::of(hands.spec.encoding, part.front()) else {
        return Ok(());
    };
    let form = &hands.spec.form;
    let place = begin::place(file, &coding, form, since, hands.now(), || hands.stopped())?;
    part.offset = place.begin;
    if form.format != Format::Text && place.begin > 0 {
        // Lines of a container may be on their way there; only what stands before tells which.
        part.go_back(place.before, place.before == 0);
    }
    Ok(())
}
