//! What does the answer to a question name?
//!
//! In: what a service has answered, and where in it the answer stands. Out: a word that can stand in the address of the next
//! request, whatever the service says. Nothing is asked here.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

use crate::engine::prefix::Prefix;

/// How long a word may be: identifiers of services have 32 or 36 letters.
const LONGEST: usize = 64;

/// What stands in an address for the word.
pub const PLACEHOLDER: &str = "<found>";

/// A word that a service has named: letters, digits, `-` and `_` of ASCII, so that it stays one part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found(String);

/// Where the word stands in an answer of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The place of the word, as RFC 6901 writes it.
    pub find: String,
    /// What must stand at other places, or it is not what was asked for. Addresses may be written in any way.
    pub matching: Vec<(String, String)>,
}

/// Why an answer names nothing that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoundError {
    /// It is no JSON, or cut off.
    #[error("the service was asked what to remove, and its answer is no JSON")]
    Form,
    /// It names nothing, and does not say either that there is nothing.
    #[error("the service was asked what to remove, and its answer has no such list")]
    Missing,
    /// What it names could mean something else in an address.
    #[error(
        "the service was asked what to remove, and names something else than letters, digits, `-` and `_`, or more than {LONGEST} of them"
    )]
    Word,
}

impl FromStr for Found {
    type Err = FoundError;

    fn from_str(text: &str) -> Result<Found, FoundError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_word = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(plain);
        is_word
            .then(|| Found(text.to_owned()))
            .ok_or(FoundError::Word)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Finding {
    /// The word; nothing if the list that it would stand in is empty, or what is there is something else.
    ///
    /// # Errors
    /// The answer is no JSON, it has no such list, or what stands there is no such word.
    pub fn of(&self, answer: &[u8]) -> Result<Option<Found>, FoundError> {
        let answer: Json = serde_json::from_slice(answer).map_err(|_| FoundError::Form)?;
        let is = |(place, wanted): &(String, String)| match answer.pointer(place) {
            Some(Json::String(said)) => are_same(said, wanted),
            _ => false,
        };
        match answer.pointer(&self.find) {
            None if has_empty_list(&answer, &self.find) => Ok(None),
            None | Some(Json::Null) => Err(FoundError::Missing),
            _ if !self.matching.iter().all(is) => Ok(None),
            Some(Json::String(word)) => word.parse().map(Some),
            Some(Json::Number(number)) => number.to_string().parse().map(Some),
            Some(_) => Err(FoundError::Word),
        }
    }
}

/// Whether the place would be in a list that is there and empty.
fn has_empty_list(answer: &Json, place: &str) -> bool {
    let ends = place.match_indices('/').map(|(end, _)| end);
    let mut outer = ends.filter_map(|end| answer.pointer(place.get(..end)?));
    outer.any(|outer| outer.as_array().is_some_and(Vec::is_empty))
}

/// Whether both are the same text or the same network.
fn are_same(said: &str, wanted: &str) -> bool {
    let network = |text: &str| text.parse::<Prefix>().ok();
    said == wanted || network(said).is_some_and(|said| Some(said) == network(wanted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finding() -> Finding {
        Finding {
            find: "/result/0/id".to_owned(),
            matching: vec![("/result/0/value".to_owned(), "2001:db8::7".to_owned())],
        }
    }

    fn found(answer: &str) -> Result<Option<String>, FoundError> {
        let found = finding().of(answer.as_bytes())?;
        Ok(found.map(|word| word.to_string()))
    }

    #[test]
    fn what_is_asked_for_is_found() {
        let word = |text: &str| Ok(Some(text.to_owned()));
        for (answer, is) in [
            (
                r#"{"result":[{"id":"a-1_B","value":"2001:db8::7"}]}"#,
                word("a-1_B"),
            ),
            (
                r#"{"result":[{"id":17,"value":"2001:0DB8:0:0:0:0:0:7"}]}"#,
                word("17"),
            ),
            (r#"{"result":[{"id":"a","value":"2001:db8::8"}]}"#, Ok(None)),
            (r#"{"result":[{"id":"a"}]}"#, Ok(None)),
            (
                r#"{"result":[{"value":"2001:db8::7"}]}"#,
                Err(FoundError::Missing),
            ),
            (
                r#"{"success":false,"result":null}"#,
                Err(FoundError::Missing),
            ),
            ("{}", Err(FoundError::Missing)),
            (r#"{"result":[]}"#, Ok(None)),
            ("[]", Ok(None)),
            ("", Err(FoundError::Form)),
            (r#"{"result":[{"id":"a""#, Err(FoundError::Form)),
            ("<html>", Err(FoundError::Form)),
        ] {
            assert_eq!(found(answer), is, "{answer}");
        }
        for hostile in [
            r#""../../zones/x""#,
            r#""""#,
            r#""a?b""#,
            r#""a b""#,
            r#""<found>""#,
            r#""é""#,
            "1.5",
            "true",
            "[]",
            "{}",
        ] {
            let answer = format!(r#"{{"result":[{{"id":{hostile},"value":"2001:db8::7"}}]}}"#);
            assert_eq!(found(&answer), Err(FoundError::Word), "{hostile}");
        }
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(long.parse::<Found>(), Err(FoundError::Word));
        assert!(long[1..].parse::<Found>().is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_answered_stays_one_part_of_an_address(id in any::<String>(), noise in any::<Vec<u8>>()) {
            let answer = serde_json::json!({ "result": [{ "id": id, "value": "2001:db8::7" }] });
            if let Ok(Some(word)) = finding().of(answer.to_string().as_bytes()) {
                let word = word.to_string();
                prop_assert_eq!(&word, &id);
                prop_assert!(!word.is_empty() && word.len() <= LONGEST);
                prop_assert!(!word.contains(|c: char| !c.is_ascii() || "/?#%&.:@<> \r\n\\".contains(c)));
            }
            // Nothing makes it panic.
            prop_assert!(!matches!(finding().of(&noise), Ok(Some(_))));
        }
    }
}
