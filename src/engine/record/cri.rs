//! Which part of a line does a container engine of Kubernetes hand on?
//!
//! In: `2016-10-06T00:17:09.669794202Z stdout F text`. Out: the [`Chunk`] in it. `F` marks the last part of a line,
//! `P` one that goes on.

use super::date::Found;
use super::json::Chunk;

/// What `line` holds, whose date has been found.
pub(super) fn chunk<'l>(line: &'l [u8], date: &Found) -> Option<Chunk<'l>> {
    let rest = line.get(date.end..)?.strip_prefix(b" ")?;
    let (output, rest) = word(rest)?;
    let (tags, text) = word(rest).unwrap_or((rest, &[]));
    let goes_on = match tags.split(|byte| *byte == b':').next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    (date.start == 0).then_some(Chunk {
        time: line.get(..date.end)?,
        output,
        text,
        goes_on,
    })
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}
