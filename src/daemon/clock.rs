//! What time is it? The only place that asks.

use crate::engine::time::Timestamp;

/// The present moment.
pub fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}
