//! What expressions become. That they take the same is shown in `tests/fail2ban/expressions.rs`, by Python itself.

use super::*;

fn source(text: &str) -> String {
    let translated = expression(text, Hosts::Named);
    translated
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .source
}

#[test]
fn what_is_written_the_same_stays_and_the_rest_is_written_anew() {
    for (text, expected) in [
        (r"^a b-c: \S+\s*$", r"^a b-c: \S+\s*$"),
        (r"\<a\>\-\/\@\ \#", "<a>-/@ #"),
        (r"a{,3}b{2}c{2,}d{,}e{1}", "a{0,3}b{2}c{2,}d*e{1}"),
        ("a{b}{", r"a\{b\}\{"),
        ("[^[]]", r"[^\[]\]"),
        ("[]a-]", r"[\]a\-]"),
        ("[a&&b~~+--]", r"[a\x26\x26b\x7E\x7E+-\-]"),
        (r"[\w.]\Z", r"[\w.]\z"),
        (r"\x41\101\0\u00e9\t", "AA\\x00é\\t"),
        ("é+|[éa]", r"é+|(?:[a]|\xC3\xA9)"),
        ("(?i)é", r"(?i)(?:\xC3\xA9|\xC3\x89)"),
        ("[^éa]", r"(?:(?!\xC3\xA9)[^a])"),
        ("(a)(?:b|c)(?:d)", "a(?:b|c)d"),
        (r"(a)\1", r"(?P<group_1>a)\k<group_1>"),
        (r"(?P<a>.)(?P=a)", r"(?P<a>.)\k<a>"),
        (
            r"(?P<a>x)?(?(a)b|c)(?(1)d)",
            "(?P<a>x)?(?(<a>)b|c)(?(<a>)d)",
        ),
        ("((?i)a|b)(?:(?s).)(?i-s:c)", "(?i:a|b)(?s:.)(?i-s:c)"),
        ("(?x) a b # c\n [ ]", "ab[ ]"),
        ("a(?#comment)*", "a*"),
        ("a*+(?:ab)++", "(?>a*)(?>(?>ab)+)"),
        ("(?:a*)?b??", "(?:a*)?b??"),
        ("(?=a)?(?!)", r"(?:(?=a)|)[^\s\S]"),
        (r"(?a:\w)\w", r"[0-9A-Za-z_]\w"),
        ("<F-USER>a</F-USER></F-ID><x>", "(?P<user>a)</F-ID><x>"),
    ] {
        assert_eq!(source(text), expected, "{text}");
    }
}

#[test]
fn tags_name_groups() {
    for (text, names) in [
        ("<HOST>", &["ip4", "ip6", "dns"][..]),
        ("<ADDR>", &["ip4", "ip6"]),
        ("<SUBNET>", &["ip4", "ip6", "cidr"]),
        ("<F-ID/> <F-PORT/>", &["fid", "fport"]),
        ("<F-ID>a</F-ID><F-MLFID>b</F-MLFID>", &["fid", "mlfid"]),
        (
            "<F-ALT_USER_1>a</F-ALT_USER_1><F-A-B>b</F-A-B>",
            &["alt_user_1", "a_b"],
        ),
        ("a<SKIPLINES>b<SKIPLINES>c", &["skiplines_0", "skiplines_1"]),
        ("(?P<host>a)", &["dns"]),
        ("(?P<host>a)<DNS>", &["host", "dns"]),
    ] {
        let translated = expression(text, Hosts::Named).expect(text);
        assert_eq!(translated.names, names, "{text}");
    }
    let translated = expression("<HOST>", Hosts::Addresses).expect("an expression");
    assert_eq!(translated.names, ["ip4", "ip6"]);
}

#[test]
fn somebody_must_be_told_of() {
    for (text, tells) in [
        ("<HOST>", true),
        ("<F-ID/>", true),
        ("<F-MLFID>a</F-MLFID>", true),
        ("(?P<host>a)", true),
        ("<F-USER>a</F-USER>", false),
        ("<CIDR>", false),
    ] {
        let translated = expression(text, Hosts::Named).expect(text);
        assert_eq!(translated.tells_who(), tells, "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let redefined = Fault::Redefined("ip4".to_owned());
    for (text, at, fault) in [
        ("  ", 0, Fault::Nothing),
        ("a <HOST> b(", 10, Fault::OpenGroup),
        ("a <HOST> b)", 10, Fault::StrayClose),
        ("<HOST> <HOST>", 7, redefined),
        ("é[a", 2, Fault::OpenClass),
        ("a**", 2, Fault::RepeatedTwice),
        ("^*", 1, Fault::NothingToRepeat),
        ("(|*)", 2, Fault::NothingToRepeat),
        ("a{3,2}", 1, Fault::Backwards),
        (r"a\y", 1, Fault::BadEscape),
        ("a\\", 1, Fault::BadEscape),
        (r"\x4", 0, Fault::CutEscape),
        (r"\777", 0, Fault::CutEscape),
        (r"\N{DASH}", 0, Fault::NamedCharacter),
        ("[b-a]", 1, Fault::BadRange),
        (r"[\w-a]", 1, Fault::BadRange),
        ("(?<a>b)", 0, Fault::BadGroup),
        ("(?P<1>b)", 0, Fault::BadName),
        (r"a\1", 1, Fault::NoSuchGroup),
        ("(?P=a)", 0, Fault::NoSuchGroup),
        ("(?(2)a)(b)", 0, Fault::NoSuchGroup),
        (r"(a\1)", 2, Fault::StillOpen),
        (r"(?<=(a)\1)", 7, Fault::OwnGroup),
        ("(a)(?(1)b|c|d)", 11, Fault::ManyBranches),
        ("(?q)", 0, Fault::BadGroup),
        ("(?iq)", 0, Fault::BadFlag),
        ("a(?i)b", 1, Fault::LateFlags),
        ("(?<=a+)b", 0, Fault::NoOneLength),
        ("a{99999}", 2, Fault::TooOften(MOST_TIMES)),
    ] {
        let error = expression(text, Hosts::Named).expect_err(text);
        assert_eq!((error.at, error.fault), (at, fault), "{text}");
    }
    let error = expression("a <HOST> b)", Hosts::Named).expect_err("a stray bracket");
    assert_eq!(
        error.to_string(),
        r"at `)`: this `)` has no `(`; a literal one is written `\)`"
    );
}

#[test]
fn nothing_grows_without_end() {
    let deep = "(".repeat(100_000);
    let error = expression(&deep[..1000], Hosts::Named).expect_err("a deep expression");
    assert!(matches!(error.fault, Fault::TooDeep(_)), "{error}");
    let long = expression(&deep, Hosts::Named).expect_err("a long expression");
    assert_eq!(long.fault, Fault::TooLong(LONGEST));
    let tags = "<SKIPLINES>".repeat(LONGEST / 11);
    let long = expression(&tags, Hosts::Named).expect_err("a long expression");
    assert_eq!(long.fault, Fault::TooLong(LONGEST));
}
