//! Jails for a crowd: what a machine with many services looks like to the one stream that all of them log to.

/// Jails beside the one that is attacked.
pub const OTHERS: usize = 99;

/// The name of a service, which is that of its jail and of its filter.
pub fn name(number: usize) -> String {
    format!("service{number}")
}

/// What its filter looks for, in the records of all programs. The words are those that such messages have, so that
/// nothing is won by names.
pub fn patterns(number: usize) -> [String; 4] {
    let name = name(number);
    [
        format!("^{name}: authentication failed for <user> from <ip>$"),
        format!(r"^{name}\[[0-9]+\]: login attempt from <ip> port <port> rejected$"),
        format!("^warning: {name}: client <ip>: too many bad passwords$"),
        format!("^(?:error|warning): session {name} of <ip> closed: invalid user <user>$"),
    ]
}
