//! How is a log written?
//!
//! In: a log, and what the configuration says of files. Out: how its lines and letters are to be read. Nothing is read
//! here.

use std::path::{Path, PathBuf};

use super::logs::Log;
use super::output::Clock;
use crate::engine::record::line::LineForm;
use crate::source::file::{Encoding, FilesSpec};

/// How a log is written.
#[derive(Clone, Debug)]
pub struct Writing {
    /// Its lines.
    pub form: LineForm,
    /// Its letters.
    pub encoding: Encoding,
}

impl Writing {
    /// Nothing is known of it but the zone.
    pub fn unknown(clock: &Clock) -> Self {
        Writing {
            form: LineForm::in_zone(clock.zone.clone()),
            encoding: Encoding::default(),
        }
    }

    /// As this source says, but for a zone that somebody asks for.
    pub fn said(source: &FilesSpec, clock: &Clock) -> Self {
        Writing {
            form: LineForm {
                zone: match clock.is_told {
                    true => clock.zone.clone(),
                    false => source.form.zone.clone(),
                },
                ..source.form.clone()
            },
            encoding: source.encoding,
        }
    }

    /// As the first of the sources says that follows it, or the log that it was before it was rotated; unknown if none
    /// does.
    pub fn followed(log: &Log, sources: &[&FilesSpec], clock: &Clock) -> Self {
        let Log::File(path) = log else {
            return Writing::unknown(clock);
        };
        let spec = names(path).into_iter().find_map(|path| {
            let mut sources = sources.iter();
            sources.find(|spec| spec.wanted.iter().flatten().any(|glob| glob.matches(&path)))
        });
        spec.map_or_else(
            || Writing::unknown(clock),
            |spec| Writing::said(spec, clock),
        )
    }
}

/// The absolute path of a log, and those that it may have had before it was rotated.
pub fn names(path: &Path) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What rotation appends begins with one of these signs: `.1.gz`, `-20260212`.
    let shorter = name.rmatch_indices(['.', '-']).map(|(end, _)| &name[..end]);
    let shorter = shorter.filter(|name| !name.is_empty());
    let before: Vec<_> = shorter.map(|name| path.with_file_name(name)).collect();
    std::iter::once(path.clone()).chain(before).collect()
}
