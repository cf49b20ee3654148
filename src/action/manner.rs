//! How is a value made to fit where it is put?
//!
//! What services take is limited in length, and some know characters that end what is quoted. Only what f2bd fills in is
//! fitted, never the text of a data file around it.

/// What stands at the end of what was cut.
const CUT: char = '…';

/// How values are fitted in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// How long a value may be, in bytes of UTF-8: whatever a service counts, it counts no more.
    pub longest: Option<usize>,
    /// Characters that a value cannot have; U+FFFD stands for each.
    pub without: String,
}

impl Manner {
    /// The value as it fits.
    pub fn fit(&self, value: String) -> String {
        let refused = |c: char| self.without.contains(c);
        let stand_in = char::REPLACEMENT_CHARACTER.to_string();
        let mut value = match value.contains(refused) {
            true => value.replace(refused, &stand_in),
            false => value,
        };
        let Some(longest) = self.longest.filter(|longest| value.len() > *longest) else {
            return value;
        };
        let room = longest.saturating_sub(CUT.len_utf8());
        let ends = value.char_indices().map(|(at, _)| at);
        let end = ends.take_while(|at| *at <= room).last();
        value.truncate(end.unwrap_or_default());
        value.push(CUT);
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manner(longest: usize, without: &str) -> Manner {
        Manner {
            longest: Some(longest),
            without: without.to_owned(),
        }
    }

    #[test]
    fn what_is_too_long_is_seen_to_be_cut() {
        assert_eq!(manner(5, "").fit("abcde".to_owned()), "abcde");
        assert_eq!(manner(5, "").fit("abcdef".to_owned()), "ab…");
        assert_eq!(manner(9, "`").fit("a`b".to_owned()), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn what_is_fitted_fits(text in any::<String>(), longest in 3_usize..50) {
            let fitted = manner(longest, "`ab").fit(text);
            prop_assert!(fitted.len() <= longest);
            prop_assert!(!fitted.contains(['`', 'a', 'b']));
        }
    }
}
