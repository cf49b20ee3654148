//! Which filters are those that Fail2ban ships?
//!
//! In: what a filter of a jail says, with everything put in. `stock.sha256` is what Fail2ban's filters are known by in each of
//! their modes, for logs and for a journal; a test says what is to be written there. Pure: nothing is read here.

use super::import::covered::digest;
use super::options::Options;

/// Lines of a digest and of the name that it is of.
const STOCK: &str = include_str!("stock.sha256");

/// Whether a filter has all patterns as Fail2ban ships them, and none beside them.
pub fn is_shipped(filter: &Options) -> bool {
    let digest = digest(filter);
    let mut known = STOCK.lines().filter_map(|line| line.split_once("  "));
    known.any(|(known, _)| known == digest)
}
