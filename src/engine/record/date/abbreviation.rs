//! Which zone does an abbreviation stand for?
//!
//! In: `CEST`. Out: its offset. What the zone of a log calls so is not known here, and counts more.

use jiff::tz::Offset;

/// The letters of the longest abbreviation of a zone.
const LONGEST: usize = 6;

/// `UTC`, `CEST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abbreviation {
    letters: [u8; LONGEST],
    must_be_known: bool,
}

impl Abbreviation {
    /// The letters that `text` begins with.
    pub fn leading(text: &[u8], must_be_known: bool) -> Option<(Self, &[u8])> {
        let end = text.iter().position(|byte| !byte.is_ascii_alphabetic());
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let mut letters = [0; LONGEST];
        letters.get_mut(..name.len())?.copy_from_slice(name);
        let wrong = name.is_empty() || must_be_known && !name.iter().all(u8::is_ascii_uppercase);
        (!wrong).then_some((
            Abbreviation {
                letters,
                must_be_known,
            },
            rest,
        ))
    }

    /// Whether an unknown one is no zone at all; otherwise a rare one is taken, and one that is not known at all stands for
    /// the given zone.
    pub fn must_be_known(&self) -> bool {
        self.must_be_known
    }

    pub fn text(&self) -> &str {
        let text = std::str::from_utf8(&self.letters).unwrap_or_default();
        text.trim_end_matches('\0')
    }
}

/// Whether it is the time of Greenwich, whatever else a zone calls so.
pub(super) fn is_universal(name: &str) -> bool {
    matches!(name, "UTC" | "GMT" | "UT" | "Z")
}

/// Zones by their usual abbreviations: those of RFC 5322 and those that hardly any other zone shares.
pub(super) fn usual_offset(name: &str) -> Option<Offset> {
    let hours = match name {
        "HST" => -10,
        "AKST" => -9,
        "AKDT" | "PST" => -8,
        "PDT" | "MST" => -7,
        "MDT" | "CST" => -6,
        "CDT" | "EST" => -5,
        "EDT" => -4,
        "WET" => 0,
        "WEST" | "BST" | "CET" | "MET" => 1,
        "CEST" | "MEST" | "EET" | "SAST" => 2,
        "EEST" | "MSK" => 3,
        "SGT" | "HKT" | "AWST" => 8,
        "JST" | "KST" => 9,
        "AEST" => 10,
        "AEDT" => 11,
        "NZST" => 12,
        "NZDT" => 13,
        _ => return None,
    };
    Offset::from_hours(hours).ok()
}

/// Zones by abbreviations that several zones share or few people know, and the single letters of the military: good
/// enough where a text is known to be of a zone.
pub(super) fn rare_offset(name: &str) -> Option<Offset> {
    if let [letter] = name.as_bytes() {
        return Offset::from_hours(military_hours(*letter)?).ok();
    }
    let (minutes, _) = RARE
        .iter()
        .find(|(_, names)| names.split(' ').any(|rare| rare == name))?;
    Offset::from_seconds(minutes * 60).ok()
}

/// Minutes east of Greenwich, and who is there.
const RARE: [(i32, &str); 33] = [
    (-660, "SST NUT"),
    (-600, "HAST TAHT CKT"),
    (-570, "MART"),
    (-540, "HADT GAMT"),
    (-480, "PT"),
    (-360, "GALT EAST"),
    (-300, "ET PET COT ECT EASST"),
    (-240, "AST BOT CLT GYT"),
    (-210, "NST"),
    (-180, "ADT ART BRT CLST UYT SRT GFT WGT PMST"),
    (-150, "NDT"),
    (-120, "BRST UYST WGST FNT PMDT"),
    (-60, "AZOT CVT EGT"),
    (0, "EGST"),
    (60, "WAT WEDT"),
    (120, "CAT CEDT WAST"),
    (180, "EAT EEDT IDT"),
    (210, "IRST"),
    (240, "AMT AZT GET GST MSD MUT RET SAMT SCT"),
    (270, "AFT IRDT"),
    (300, "AMST AZST MVT PKT TFT TJT TMT UZT YEKT"),
    (345, "NPT"),
    (360, "ALMT BTT IOT KGT NOVT OMST YEKST"),
    (390, "MMT"),
    (420, "HOVT ICT KRAT WIB OMSST NOVST"),
    (480, "BNT IRKT KRAST MYT PHT ULAT WITA WST"),
    (540, "IRKST PWT TLT WIT YAKT"),
    (570, "ACST"),
    (600, "PGT VLAT YAKST"),
    (630, "ACDT LHST"),
    (660, "LHDT MAGT NCT PONT SBT VLAST VUT"),
    (720, "ANAT FJT GILT MAGST MHT PETT TVT WFT"),
    (780, "FJST"),
];

/// `A` to `M` without `J` lie to the east, `N` to `Y` to the west.
fn military_hours(letter: u8) -> Option<i8> {
    let letters = |first: u8| i8::try_from(letter - first + 1).ok();
    match letter {
        b'A'..=b'I' => letters(b'A'),
        b'K'..=b'M' => letters(b'B'),
        b'N'..=b'Y' => Some(-letters(b'N')?),
        b'Z' => Some(0),
        _ => None,
    }
}
