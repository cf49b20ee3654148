//! Which templates are looked for if none is told?
//!
//! Out: their texts, those that Fail2ban knows, in its order: of several that begin at the same place the first is taken.

/// The templates as they are wrapped by `{DATE}`.
pub fn texts() -> Vec<String> {
    let clock = "%H:%M:%S";
    let late = "%k:%M:%S";
    let weekday = "(?:%a )?";
    let point = r"(?:\.%f)?";
    let fraction = "(?:[.,]%f)?";
    let join = "(?:T|  ?)";
    let zone = r"(?:\s*%z)?";
    let year = "(?: %ExY)?";
    let mut texts = Vec::new();
    for sep in ["-", "/", r"\."] {
        texts.push(format!("%ExY{sep}%m{sep}%d{join}{clock}{fraction}{zone}"));
    }
    texts.push(format!("{weekday}%b %d {late}{point}{year}"));
    texts.push(format!("{weekday}%b %d %ExY {late}{point}"));
    for sep in ["-", "/"] {
        texts.push(format!("%d{sep}%m{sep}(?:%ExY|%Exy) {late}"));
    }
    // Apache and BIND.
    for sep in ["-", "/"] {
        texts.push(format!("%d{sep}%b{sep}%ExY[ :]?{clock}{point}(?: %z)?"));
    }
    // cPanel.
    texts.push(format!("%m/%d/%ExY:{clock}"));
    texts.push(format!("%m-%d-%ExY {late}{point}"));
    texts.push("EPOCH".to_owned());
    texts.push(format!("{{^LN-BEG}}{clock}"));
    texts.push(format!("^<%m/%d/%Exy@{clock}>"));
    // MySQL.
    texts.push(format!("%Exy%Exm%Exd  ?{clock}"));
    // Tomcat.
    texts.push("%b %d, %ExY %I:%M:%S %p".to_owned());
    // ASSP.
    texts.push(format!("^%b-%d-%Exy {late}"));
    texts.push(format!("%ExY%Exm%Exd{join}%ExH%ExM%ExS{fraction}{zone}"));
    // Monit names the zone first, others its offset.
    for first in ["(?:%Z )?", "(?:%z )?"] {
        texts.push(format!("{first}{weekday}%b %d {late}{point}{year}"));
    }
    texts.push("TAI64N".to_owned());
    texts
}

/// Those that begin their line: before all others, each of the templates that does not say so itself does.
pub fn at_head() -> Vec<String> {
    let (told, free): (Vec<_>, Vec<_>) = texts().into_iter().partition(|text| is_at_head(text));
    let anchored = free.into_iter().map(|text| format!("{{^LN-BEG}}{text}"));
    anchored.chain(told).collect()
}

/// All of them: those that begin their line first.
pub fn all() -> Vec<String> {
    let free = texts().into_iter().filter(|text| !is_at_head(text));
    at_head().into_iter().chain(free).collect()
}

fn is_at_head(text: &str) -> bool {
    text.starts_with('^') || text.starts_with("{^LN-BEG}")
}
