//! Which number or name begins a text?
//!
//! In: the bytes of a text. Out: what stands at its head, and what follows it. What it is good for is not known here.

/// The second label of TAI64 is counted from here.
const TAI64_EPOCH: u64 = 1 << 62;

/// A number and its name behind the first three letters.
pub struct Name(i8, &'static [u8]);

/// The month whose name begins so, and the rest of its name.
pub fn month(letters: [u8; 3]) -> Option<Name> {
    Some(match &letters {
        b"jan" => Name(1, b"uary"),
        b"feb" => Name(2, b"ruary"),
        b"mar" => Name(3, b"ch"),
        b"apr" => Name(4, b"il"),
        b"may" => Name(5, b""),
        b"jun" => Name(6, b"e"),
        b"jul" => Name(7, b"y"),
        b"aug" => Name(8, b"ust"),
        b"sep" => Name(9, b"tember"),
        b"oct" => Name(10, b"ober"),
        b"nov" => Name(11, b"ember"),
        b"dec" => Name(12, b"ember"),
        _ => return None,
    })
}

/// The day of the week whose name begins so, and the rest of its name.
pub fn weekday(letters: [u8; 3]) -> Option<Name> {
    Some(match &letters {
        b"mon" => Name(1, b"day"),
        b"tue" => Name(2, b"sday"),
        b"wed" => Name(3, b"nesday"),
        b"thu" => Name(4, b"rsday"),
        b"fri" => Name(5, b"day"),
        b"sat" => Name(6, b"urday"),
        b"sun" => Name(7, b"day"),
        _ => return None,
    })
}

/// The name that stands at the head of `text`, in full or with its first three letters.
pub fn name(text: &[u8], known: fn([u8; 3]) -> Option<Name>) -> Option<(i8, &[u8])> {
    let [a, b, c, rest @ ..] = text else {
        return None;
    };
    let Name(number, tail) = known([a | 0x20, b | 0x20, c | 0x20])?;
    if !rest.first().is_some_and(u8::is_ascii_alphabetic) {
        return Some((number, rest));
    }
    let (word, behind) = rest.split_at_checked(tail.len())?;
    // A name that goes on is another word.
    let other = behind.first().is_some_and(u8::is_ascii_alphabetic);
    (!other && word.eq_ignore_ascii_case(tail)).then_some((number, behind))
}

/// A number of two digits.
pub fn pair(ten: u8, one: u8) -> Option<u32> {
    let (ten, one) = (ten.wrapping_sub(b'0'), one.wrapping_sub(b'0'));
    (ten <= 9 && one <= 9).then(|| u32::from(ten * 10 + one))
}

/// A number of `least` to `most` digits.
pub fn digits(text: &[u8], least: usize, most: usize) -> Option<(u32, &[u8])> {
    let mut number = 0;
    let mut length = 0;
    while length < most
        && let Some(byte @ b'0'..=b'9') = text.get(length)
    {
        number = number * 10 + u32::from(byte - b'0');
        length += 1;
    }
    (length >= least).then(|| (number, &text[length..]))
}

/// A number of as many digits as follow each other.
pub fn long_number(text: &[u8]) -> Option<(i64, &[u8])> {
    let end = text.iter().take(20).position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len().min(20)));
    let number = digits.iter().try_fold(0_i64, |number, byte| {
        number.checked_mul(10)?.checked_add(i64::from(byte - b'0'))
    });
    Some((number?, rest))
}

/// Microseconds of the digits of a fraction, at least one; those behind the sixth are not looked at.
pub fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let (mut micros, mut unit, mut length) = (0, 100_000, 0);
    while let Some(byte @ b'0'..=b'9') = text.get(length) {
        micros += i32::from(byte - b'0') * unit;
        unit /= 10;
        length += 1;
    }
    (length > 0).then(|| (micros, &text[length..]))
}

/// Seconds of `Z`, `+0100`, `+01:00`, and if `short` is allowed of `+01`.
pub fn offset(text: &[u8], short: bool) -> Option<(i32, &[u8])> {
    let (sign, rest) = match text {
        [b'Z', rest @ ..] => return Some((0, rest)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2, 2)?;
    let minutes = digits(rest.strip_prefix(b":").unwrap_or(rest), 2, 2);
    let (minutes, rest) = match minutes {
        Some(minutes) => minutes,
        None if short => (0, rest),
        None => return None,
    };
    // As far from Greenwich as a clock has ever been, and a bit.
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    (hours < 24 && minutes < 60).then_some((sign * seconds, rest))
}

/// Microseconds since the epoch of a label of TAI64N, `@` and 24 digits.
pub fn tai64(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'@', rest @ ..] = text else {
        return None;
    };
    let (label, rest) = rest.split_at_checked(24)?;
    let (seconds, nanos) = label.split_at(16);
    let (seconds, nanos) = (hexadecimal(seconds)?, hexadecimal(nanos)?);
    // How many leap seconds a label counts differs between writers (0, 10, all), so none is taken off.
    let seconds = i64::try_from(seconds.checked_sub(TAI64_EPOCH)?).ok()?;
    let nanos = i64::try_from(nanos).ok();
    let micros = nanos.filter(|nanos| *nanos < 1_000_000_000)? / 1_000;
    Some((seconds.checked_mul(1_000_000)?.checked_add(micros)?, rest))
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

pub fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blanks..]
}

pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether a byte is of a word or number, so that no date begins or ends beside it.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
