//! What does a text with `<placeholders>` say once they are filled in?
//!
//! Pure: nothing here knows what a placeholder stands for, or where the text goes.

/// A text, cut at its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

impl Template {
    /// Cuts a text. A `<` before anything but a name is a character as any other.
    pub fn new(text: &str) -> Template {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let name = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
            if let Some((name, after)) = name.filter(|(name, _)| is_name(name)) {
                pieces.push(Piece::Placeholder(name.to_owned()));
                rest = after;
                continue;
            }
            let mut signs = rest.char_indices().skip(1);
            let end = signs.find(|(_, c)| *c == '<');
            let (piece, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            pieces.push(Piece::Text(piece.to_owned()));
            rest = after;
        }
        Template(pieces)
    }

    /// The names of its placeholders, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The name of its placeholder if there is nothing beside it.
    pub fn only_name(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Placeholder(name)] => Some(name),
            _ => None,
        }
    }

    /// The text with placeholders filled in; those without a value stay.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> String {
        self.0.iter().fold(String::new(), |filled, piece| {
            filled
                + &match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Placeholder(name) => value(name).unwrap_or_else(|| format!("<{name}>")),
                }
        })
    }
}

/// Whether the text can name a placeholder: lower-case letters, digits and `_`.
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_name_stays() {
        let template = Template::new("<a> < b <c_1><D> <>");
        assert_eq!(template.names().collect::<Vec<_>>(), ["a", "c_1"]);
        let filled = template.fill(|name| (name == "a").then(|| "<c_1>".to_owned()));
        assert_eq!(
            filled, "<c_1> < b <c_1><D> <>",
            "values are not looked into"
        );
        assert_eq!(Template::new("<a>").only_name(), Some("a"));
        assert_eq!(Template::new("<a>.").only_name(), None);
    }

    proptest! {
        #[test]
        fn any_text_can_be_a_template(text in "[<>a-z{}\n é]{0,60}") {
            let template = Template::new(&text);
            prop_assert_eq!(template.fill(|_| None), text.clone());
            prop_assert!(template.names().all(is_name));
        }
    }
}
