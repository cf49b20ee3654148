//! What does a sum come to?
//!
//! Numbers, `+ - * / // % **` and parentheses, with the precedence and the two kinds of numbers that Python has. There are no
//! names and no calls; whoever writes such is told.

use super::{Seconds, TimeError};

/// How deep parentheses and signs may be nested.
const DEEPEST: usize = 50;

/// A number on the way.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i128),
    Fraction(f64),
}

use Number::{Fraction, Whole};

impl Number {
    fn fraction(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Python rounds it")]
            Whole(number) => number as f64,
            Fraction(number) => number,
        }
    }

    fn is_zero(self) -> bool {
        self.fraction() == 0.0
    }
}

/// Computes a sum.
pub fn compute(text: &str) -> Result<Seconds, TimeError> {
    let mut sum = Sum {
        rest: first_line(text)?,
        depth: 0,
        parentheses: 0,
        error: None,
    };
    let number = sum.sum()?;
    // Behind it, lines may be empty.
    sum.parentheses += 1;
    sum.skip();
    if !sum.rest.is_empty() {
        return Err(TimeError::Syntax);
    }
    // Python looks at the whole text before it computes anything.
    if let Some(error) = sum.error {
        return Err(error);
    }
    match number {
        Whole(number) => i64::try_from(number)
            .map(Seconds::Whole)
            .map_err(|_| TimeError::TooLarge),
        Fraction(number) if number.is_finite() => Ok(Seconds::Fraction(number)),
        Fraction(_) => Err(TimeError::TooLarge),
    }
}

/// From the first line that says something; only the very first may be indented.
fn first_line(text: &str) -> Result<&str, TimeError> {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\x0c');
    let mut rest = text.trim_start_matches(is_blank);
    while let Some((line, below)) = rest.split_once('\n')
        && (line.is_empty() || line.starts_with('#'))
    {
        rest = below.trim_start_matches(is_blank);
        if rest.len() < below.len() && !rest.is_empty() && !rest.starts_with(['\n', '#']) {
            return Err(TimeError::Syntax);
        }
    }
    Ok(rest)
}

/// A sum that is being read.
struct Sum<'t> {
    rest: &'t str,
    depth: usize,
    parentheses: usize,
    /// The first thing that cannot be computed, though it can be read.
    error: Option<TimeError>,
}

impl<'t> Sum<'t> {
    /// Passes blanks and comments; a line ends the sum unless a parenthesis is open.
    fn skip(&mut self) {
        loop {
            let is_blank =
                |c: char| matches!(c, ' ' | '\t' | '\x0c') || c == '\n' && self.parentheses > 0;
            self.rest = self.rest.trim_start_matches(is_blank);
            if !self.rest.starts_with('#') {
                return;
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
            if self.parentheses == 0 {
                return;
            }
        }
    }

    fn operator(&mut self, known: &[&'static str]) -> Option<&'static str> {
        self.skip();
        let found = known.iter().find(|sign| self.rest.starts_with(**sign))?;
        self.rest = &self.rest[found.len()..];
        Some(found)
    }

    fn sum(&mut self) -> Result<Number, TimeError> {
        let mut left = self.product()?;
        while let Some(sign) = self.operator(&["+", "-"]) {
            let right = self.product()?;
            left = self.apply(sign, left, right);
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Number, TimeError> {
        let mut left = self.signed()?;
        loop {
            self.skip();
            if self.rest.starts_with("**") {
                return Err(TimeError::Syntax);
            }
            let Some(sign) = self.operator(&["*", "//", "/", "%"]) else {
                return Ok(left);
            };
            let right = self.signed()?;
            left = self.apply(sign, left, right);
        }
    }

    fn signed(&mut self) -> Result<Number, TimeError> {
        self.deeper(|sum| match sum.operator(&["-", "+"]) {
            Some("-") => {
                let number = sum.signed()?;
                Ok(sum.apply("-", Whole(0), number))
            }
            Some(_) => sum.signed(),
            None => sum.power(),
        })
    }

    fn power(&mut self) -> Result<Number, TimeError> {
        let base = self.atom()?;
        match self.operator(&["**"]) {
            None => Ok(base),
            Some(sign) => {
                let exponent = self.signed()?;
                Ok(self.apply(sign, base, exponent))
            }
        }
    }

    fn atom(&mut self) -> Result<Number, TimeError> {
        if self.operator(&["("]).is_some() {
            self.parentheses += 1;
            let number = self.deeper(Sum::sum)?;
            self.skip();
            self.parentheses -= 1;
            self.rest = self.rest.strip_prefix(')').ok_or(TimeError::Syntax)?;
            return Ok(number);
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if self
            .rest
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            self.note(TimeError::Name(name.to_owned()));
            return Ok(Whole(1));
        }
        self.number()
    }

    fn number(&mut self) -> Result<Number, TimeError> {
        let whole = self.digits();
        let has_point = self.rest.strip_prefix('.').inspect(|rest| self.rest = rest);
        let part = has_point.map(|_| self.digits());
        if whole.is_empty() && part.as_ref().is_none_or(String::is_empty) {
            return Err(TimeError::Syntax);
        }
        let exponent = self.exponent();
        if self
            .rest
            .starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.'))
        {
            return Err(TimeError::Syntax);
        }
        if part.is_none() && exponent.is_none() {
            // So that nobody takes it for octal, Python refuses a nought in front.
            if whole.starts_with('0') && whole.contains(|c| c != '0') {
                return Err(TimeError::Syntax);
            }
            let Ok(number) = whole.parse() else {
                self.note(TimeError::TooLarge);
                return Ok(Whole(1));
            };
            return Ok(Whole(number));
        }
        let (part, exponent) = (part.unwrap_or_default(), exponent.unwrap_or_default());
        let text = format!("0{whole}.{part}0{exponent}");
        text.parse().map(Fraction).map_err(|_| TimeError::Syntax)
    }

    /// Digits, between which single underscores may stand.
    fn digits(&mut self) -> String {
        let mut digits = String::new();
        loop {
            let end = self
                .rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(self.rest.len());
            digits.push_str(&self.rest[..end]);
            self.rest = &self.rest[end..];
            let next = self.rest.strip_prefix('_').filter(|_| end > 0);
            match next.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                Some(rest) => self.rest = rest,
                None => return digits,
            }
        }
    }

    fn exponent(&mut self) -> Option<String> {
        let before = self.rest;
        self.rest = before.strip_prefix(['e', 'E'])?;
        let sign = self.operator_here(&["-", "+"]).unwrap_or_default();
        let digits = self.digits();
        if digits.is_empty() {
            self.rest = before;
            return None;
        }
        Some(format!("e{sign}{digits}"))
    }

    fn operator_here(&mut self, known: &[&'static str]) -> Option<&'static str> {
        let found = known.iter().find(|sign| self.rest.starts_with(**sign))?;
        self.rest = &self.rest[found.len()..];
        Some(found)
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Number, TimeError>,
    ) -> Result<Number, TimeError> {
        if self.depth >= DEEPEST {
            return Err(TimeError::Syntax);
        }
        self.depth += 1;
        let number = read(self);
        self.depth -= 1;
        number
    }

    fn note(&mut self, error: TimeError) {
        self.error.get_or_insert(error);
    }

    fn apply(&mut self, sign: &str, left: Number, right: Number) -> Number {
        if matches!(sign, "/" | "//" | "%") && right.is_zero() {
            self.note(TimeError::Division);
            return left;
        }
        let number = match (left, right) {
            (Whole(left), Whole(right)) => whole(sign, left, right),
            _ => None,
        };
        let whole_is_due = matches!((left, right), (Whole(_), Whole(_))) && sign != "/";
        match number {
            Some(number) => Whole(number),
            None if whole_is_due && !is_root(sign, right) => {
                self.note(TimeError::TooLarge);
                left
            }
            None => Fraction(fraction(sign, left.fraction(), right.fraction())),
        }
    }
}

/// Whether it is a power with an exponent below nothing, which is a fraction.
fn is_root(sign: &str, exponent: Number) -> bool {
    sign == "**" && exponent.fraction() < 0.0
}

/// A whole number, if that is what it comes to and if it is not too large.
fn whole(sign: &str, left: i128, right: i128) -> Option<i128> {
    match sign {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "//" => {
            let least = left.checked_rem(right)? != 0 && (left < 0) != (right < 0);
            Some(left.checked_div(right)? - i128::from(least))
        }
        "%" => {
            let rest = left.checked_rem(right)?;
            let other = rest != 0 && (rest < 0) != (right < 0);
            Some(if other { rest + right } else { rest })
        }
        "**" => left.checked_pow(u32::try_from(right).ok()?),
        _ => None,
    }
}

fn fraction(sign: &str, left: f64, right: f64) -> f64 {
    match sign {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        "//" => (left / right).floor(),
        "%" => left - right * (left / right).floor(),
        _ => left.powf(right),
    }
}
