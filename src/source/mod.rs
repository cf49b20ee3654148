//! How do the bytes of the world become records?
//!
//! A source fills batches and hands each of them on together with the cursor behind its last record. It
//! decides nothing and parses nothing by itself: fields and text are read in `engine::record`.

pub mod journal;

use crate::engine::cursor::Cursor;
use crate::engine::name::SourceName;
use crate::engine::record::Batch;
use crate::engine::time::Timestamp;

/// What a source hands on.
#[derive(Debug)]
pub enum Delivery {
    /// Records, and where to resume behind them. The batch may be empty when only the cursor moved.
    Records {
        /// Which source.
        source: SourceName,
        /// In order.
        batch: Batch,
        /// Behind the last record of the batch.
        cursor: Cursor,
    },
    /// Something the administrator should know, said once.
    Trouble(Trouble),
}

/// What can go wrong with a source, and that it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The source cannot be read; it is tried again by itself.
    Unreadable {
        /// Which source.
        source: SourceName,
        /// What the system said, and what to do about it.
        reason: String,
    },
    /// The source can be read again.
    Recovered {
        /// Which source.
        source: SourceName,
    },
    /// Records between these moments were gone before they could be read.
    Gap {
        /// Which source.
        source: SourceName,
        /// The last record that was read.
        from: Timestamp,
        /// The first one after it that is still there; `None` if none is.
        to: Option<Timestamp>,
    },
}
