//! What can be wrong with a data file, and what is to be done about it?
//!
//! Nothing here finds mistakes; where they are in the text is asked of [`super::place`].

use super::place;
use crate::action::nftables::ruleset::TemplateError;
use crate::action::parameter::{DeclarationError, ParameterError};
use crate::action::step::StepError;
use crate::action::vocabulary::VocabularyError;

/// A data file that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// It is not of the form that it should have; the error knows where.
    #[error("{}", .0.message())]
    Form(#[from] toml::de::Error),
    /// A part of the ruleset.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A declaration of a parameter.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// A default that is not allowed.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A step.
    #[error("`{part}`: {error}")]
    Step {
        /// Where.
        part: &'static str,
        /// Which of them there, from 0.
        number: usize,
        /// What is wrong.
        error: StepError,
    },
    /// A word or another text.
    #[error("{error}")]
    Text {
        /// The key that says it.
        part: &'static str,
        /// What is wrong.
        error: VocabularyError,
    },
    /// A key that an action like it makes no use of.
    #[error("an action {sort} makes no use of `{key}`")]
    Useless {
        /// What is written.
        key: String,
        /// What the action is like.
        sort: &'static str,
        /// Where the key is in the file, in bytes.
        at: usize,
    },
    /// Something that is missing, or that does not go together.
    #[error("{words}")]
    Shape {
        /// The key that it is about, whether or not it is there.
        key: &'static str,
        /// What is wrong.
        words: &'static str,
    },
}

impl FileError {
    /// Where it is in the file, in bytes from the beginning; nothing if it is nowhere in particular.
    pub fn place(&self, text: &str) -> Option<usize> {
        place::of(text, self)
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        let of_text = |error: &VocabularyError| match error {
            VocabularyError::Unknown { .. } => "write one of those, or declare it as a parameter",
            VocabularyError::Misplaced { .. } => "take it out there",
            VocabularyError::Word(_) => "give it another name, or define it for both families",
        };
        let words = match self {
            FileError::Useless { key, .. } => {
                return format!("take `{key}` out, or into a file of its own: see f2bd-action(5)");
            }
            FileError::Template(TemplateError::Unknown { .. }) => {
                "write one of those, or declare it as a parameter"
            }
            FileError::Template(TemplateError::Missing { .. }) => "say it there",
            FileError::Text { error, .. }
            | FileError::Step {
                error: StepError::Text(error),
                ..
            } => of_text(error),
            FileError::Step { .. }
            | FileError::Form(_)
            | FileError::Declaration(_)
            | FileError::Parameter(_)
            | FileError::Shape { .. } => return "see f2bd-action(5)".to_owned(),
        };
        format!("{words}: see f2bd-action(5)")
    }
}
