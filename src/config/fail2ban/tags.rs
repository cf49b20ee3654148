//! What does a value say when its tags are put in?
//!
//! `<key>` in a filter or an action is the key's value there; `<section/key>` that of another section. A tag that nobody knows
//! stays as it is: it may be one of the filter language, or for the shell. What stands in a tag is put in first, so that
//! `<a_<b>>` names what `b` says.

use std::collections::{HashMap, HashSet};

use super::interpolation::{InterpolationError, LONGEST_VALUE};
use super::options::Options;
use crate::config::problem::Place;

/// How often one tag is put into one value; so often does Fail2ban.
const MOST_OFTEN: usize = 25;

/// How many tags are put into one value: each costs its length. The stock ones need a hundred.
const MOST_TAGS: usize = 5_000;

/// Tags that cannot be put in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A value refers to itself.
    #[error("`{key}` refers to itself by <{tag}>")]
    Itself {
        /// Where the value stands.
        place: Place,
        /// Its key.
        key: String,
        /// The tag.
        tag: String,
    },
    /// A value grows without an end.
    #[error(
        "`{key}` has too many tags, or is longer than {LONGEST_VALUE} bytes when they are put in"
    )]
    TooLong {
        /// Where the value stands.
        place: Place,
        /// Its key.
        key: String,
    },
    /// The value of another section cannot be put together.
    #[error(transparent)]
    Value(#[from] InterpolationError),
}

impl TagError {
    /// Where it is.
    pub fn place(&self) -> &Place {
        match self {
            TagError::Itself { place, .. } | TagError::TooLong { place, .. } => place,
            TagError::Value(error) => &error.place,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            TagError::Itself { .. } => "write one of the values without the tag",
            TagError::TooLong { .. } => "write shorter values",
            TagError::Value(error) => error.mistake.remedy(),
        }
    }
}

/// How tags are put in.
pub struct Tags<'a> {
    /// These tags stay as they are.
    pub left: HashSet<&'a str>,
    /// `family=inet4` or `family=inet6`; values that are said for that go before others. Empty if that is not known yet.
    pub condition: &'a str,
    /// Values that are not among those that are looked at.
    pub elsewhere: &'a dyn Fn(&str) -> Result<Option<String>, InterpolationError>,
}

impl Tags<'_> {
    /// Puts the tags into all values, in which they refer to each other.
    ///
    /// # Errors
    /// One refers to itself or grows without an end.
    pub fn put_in(&self, options: &Options) -> Result<Options, TagError> {
        let mut options = options.clone();
        let keys: Vec<_> = options.iter().map(|(key, _)| key.to_owned()).collect();
        let mut counts: HashMap<&str, HashMap<String, usize>> = HashMap::new();
        let mut done = HashSet::new();
        loop {
            let mut again = false;
            for key in &keys {
                let key = key.as_str();
                if self.left.contains(key) || done.contains(key) {
                    continue;
                }
                let mut count = counts.remove(key).unwrap_or_default();
                let changed = self.put_into(key, &options, &mut count)?;
                let has_tags = |text: &str| find(text, 0).is_some();
                let value = changed.as_deref().or_else(|| options.text(key));
                if !value.unwrap_or_default().contains('<') {
                    done.insert(key);
                }
                if let Some(text) = changed {
                    if has_tags(&text) {
                        again = true;
                        counts.insert(key, count);
                    }
                    if let Some(value) = options.get_mut(key) {
                        value.text = text;
                    }
                }
            }
            if !again {
                return Ok(options);
            }
        }
    }

    /// The value of a key with its tags put in; `None` if that is what it was.
    fn put_into(
        &self,
        key: &str,
        options: &Options,
        count: &mut HashMap<String, usize>,
    ) -> Result<Option<String>, TagError> {
        let Some(value) = options.get(key) else {
            return Ok(None);
        };
        let place = || value.place.clone();
        let mut text = value.text.clone();
        let mut from = 0;
        while let Some((begin, end)) = find(&text, from) {
            let tag = text[begin + 1..end - 1].to_owned();
            from = end;
            if self.left.contains(tag.as_str()) {
                continue;
            }
            if tag == key || count.get(&tag).is_some_and(|often| *often > MOST_OFTEN) {
                let (place, key) = (place(), key.to_owned());
                return Err(TagError::Itself { place, key, tag });
            }
            let Some(other) = self.find(&tag, options)? else {
                continue;
            };
            text = text.replace(&format!("<{tag}>"), &other);
            *count.entry(tag).or_default() += 1;
            if text.len() > LONGEST_VALUE || count.values().sum::<usize>() > MOST_TAGS {
                let (place, key) = (place(), key.to_owned());
                return Err(TagError::TooLong { place, key });
            }
            from = begin;
        }
        Ok((text != value.text).then_some(text))
    }

    fn find(&self, tag: &str, options: &Options) -> Result<Option<String>, InterpolationError> {
        let conditional = format!("{tag}?{}", self.condition);
        let conditional = options
            .text(&conditional)
            .filter(|_| !self.condition.is_empty());
        match conditional.or_else(|| options.text(tag)) {
            Some(text) => Ok(Some(text.to_owned())),
            None => (self.elsewhere)(tag),
        }
    }
}

/// The next tag: where it begins and where it ends. In it is neither a blank nor another tag.
fn find(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let begin = at + text.get(at..)?.find('<')?;
        let inner = &text[begin + 1..];
        let length = inner.find([' ', '<', '>'])?;
        if length > 0 && inner[length..].starts_with('>') {
            return Some((begin, begin + length + 2));
        }
        at = begin + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::fail2ban::options::Written;
    use crate::config::problem::Text;

    fn put_in(
        said: &[(&str, &str)],
        left: &[&str],
        condition: &str,
    ) -> Result<Vec<String>, TagError> {
        let text = Arc::new(Text {
            path: "x".into(),
            content: String::new(),
        });
        let mut options = Options::default();
        for (key, value) in said {
            options.set(*key, Written::new(*value, &Place::whole(&text)));
        }
        let tags = Tags {
            left: left.iter().copied().collect(),
            condition,
            elsewhere: &|tag| Ok(tag.strip_prefix("other/").map(str::to_owned)),
        };
        let put_in = tags.put_in(&options)?;
        Ok(put_in.iter().map(|(_, value)| value.text.clone()).collect())
    }

    #[test]
    fn tags_are_put_in_from_within() {
        let said = [
            ("a", "<b>!"),
            ("b", "<lt_<c>/x>"),
            ("c", "file"),
            ("lt_file/x", "<HOST> <a b> < c>"),
        ];
        let all = put_in(&said, &[], "");
        assert_eq!(all.expect("tags")[0], "<HOST> <a b> < c>!");
        let all = put_in(&[("a", "<b><other/<b>><other/b>"), ("b", "1")], &[], "");
        assert_eq!(all.expect("tags")[0], "11b");
        let all = put_in(&[("a", "<b><c>"), ("b", "1"), ("c", "<b>")], &["b"], "");
        assert_eq!(all.expect("tags"), ["<b><b>", "1", "<b>"]);
    }

    #[test]
    fn a_value_may_be_for_one_family() {
        let said = [("a", "<b>"), ("b", "4"), ("b?family=inet6", "6")];
        assert_eq!(put_in(&said, &[], "family=inet6").expect("tags")[0], "6");
        assert_eq!(put_in(&said, &[], "family=inet4").expect("tags")[0], "4");
    }

    #[test]
    fn what_refers_to_itself_is_told() {
        let is_itself =
            |said: &[(&str, &str)]| matches!(put_in(said, &[], ""), Err(TagError::Itself { .. }));
        assert!(is_itself(&[("a", "<a>")]));
        assert!(is_itself(&[("a", "<b>"), ("b", "<a>")]));
        assert!(is_itself(&[("a", "x<other/<b>>"), ("b", "<b>x")]));
        let grows = [
            ("a", "<b><b><b><b>x"),
            ("b", "<c><c><c><c>"),
            ("c", "<d><d><d><d>"),
            ("d", "<e><e><e><e>"),
            ("e", "<f><f><f><f>"),
            ("f", "<g><g><g><g>"),
            ("g", "<h><h><h><h>"),
            ("h", "<i><i><i><i>"),
            ("i", "<j><j><j><j>"),
            ("j", "123"),
        ];
        assert!(matches!(
            put_in(&grows, &[], ""),
            Err(TagError::TooLong { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_tags_are_too_odd(values in proptest::collection::vec("(<|>|<[abc]>|other/|[abc é]){0,12}", 3)) {
            let said = [("a", values[0].as_str()), ("b", &values[1]), ("c", &values[2])];
            put_in(&said, &["c"], "").ok();
        }
    }
}
