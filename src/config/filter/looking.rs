//! Which patterns over lines read a long line again from each of its places?
//!
//! In: a pattern that looks around. Out: whether it may look on to the end of the line from as many places as the line has bytes:
//! one of 64 KiB takes seconds then. The limit of steps does not see it, since each look is one step.

use fancy_regex::{Assertion, AstNode, Expr};

/// At how many places of a line a part of a pattern is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    /// At its beginning, or at what is found from there.
    Few,
    /// Perhaps at each.
    All,
}

impl Tried {
    fn or(self, other: Tried) -> Tried {
        match (self, other) {
            (Tried::Few, Tried::Few) => Tried::Few,
            _ => Tried::All,
        }
    }
}

/// Whether it does. Not if it cannot be read, which whoever compiles it tells.
pub(super) fn looks_from_everywhere(source: &str) -> bool {
    let Ok(tree) = Expr::parse_tree(source) else {
        return false;
    };
    let mut is_costly = false;
    walk(&tree.expr, Tried::All, &mut is_costly);
    is_costly
}

/// Where what follows `expr` is tried, if that is tried at `here`.
fn walk(expr: &Expr, here: Tried, is_costly: &mut bool) -> Tried {
    match expr {
        Expr::Concat(parts) => parts
            .iter()
            .fold(here, |here, part| walk(part, here, is_costly)),
        Expr::Alt(parts) => parts
            .iter()
            .map(|part| walk(part, here, is_costly))
            .reduce(Tried::or)
            .unwrap_or(here),
        Expr::Group(inner) => walk(inner, here, is_costly),
        Expr::AtomicGroup(inner) | Expr::AstNode(AstNode::AstGroup { inner, .. }, _) => {
            walk(inner, here, is_costly)
        }
        Expr::Assertion(Assertion::StartText | Assertion::StartLine { .. }) => Tried::Few,
        Expr::Repeat { child, lo, hi, .. } => {
            let is_endless = *hi == usize::MAX;
            let inside = if is_endless { Tried::All } else { here };
            let behind = walk(child, inside, is_costly);
            match *lo {
                // What follows is tried wherever it may end.
                _ if is_endless => Tried::All,
                0 => here.or(behind),
                _ => behind,
            }
        }
        Expr::LookAround(inner, _) => {
            *is_costly |= here == Tried::All && is_endless(inner);
            walk(inner, here, is_costly);
            here
        }
        Expr::Conditional {
            condition,
            true_branch,
            false_branch,
        } => {
            let behind = walk(condition, here, is_costly);
            let is_so = walk(true_branch, behind, is_costly);
            is_so.or(walk(false_branch, here, is_costly))
        }
        _ => here,
    }
}

/// Whether something in it may take as much as there is.
fn is_endless(expr: &Expr) -> bool {
    match expr {
        Expr::Repeat { child, hi, .. } => *hi == usize::MAX || is_endless(child),
        Expr::Concat(parts) | Expr::Alt(parts) => parts.iter().any(is_endless),
        Expr::Group(inner) => is_endless(inner),
        Expr::AtomicGroup(inner)
        | Expr::LookAround(inner, _)
        | Expr::AstNode(AstNode::AstGroup { inner, .. }, _) => is_endless(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_from_everywhere_is_known() {
        for (source, is_costly) in [
            ("(?=.*x)", true),
            ("(?=.*x).*(?P<ip4>a)", true),
            ("(?!.+x) (?P<ip4>a)", true),
            ("(?:a|^b)(?=.*x)", true),
            ("^.*(?=.*x)a", true),
            ("^(?:(?!.*x).)*a", true),
            ("(?:(?P<user>(?=a+b)c))", true),
            (r"\b(?<!a)(?=[^b]*b)", true),
            ("^(?=.*x)", false),
            (r"^\S+ (?!.*x)a", true),
            (r"^\S{1,99} (?!.*x)a", false),
            (r"^a(?:bc)?(?!.*x)a", false),
            ("^(?:a|b)(?=.*x)", false),
            ("(?:^a|^b)(?=.*x)", false),
            ("(?=ab?)c", false),
            ("(?<!a)b.*c", false),
            (r"(a)\1.*", false),
            ("(", false),
        ] {
            assert_eq!(looks_from_everywhere(source), is_costly, "{source}");
        }
    }
}
