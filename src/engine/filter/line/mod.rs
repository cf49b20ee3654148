//! What a filter does that looks at whole lines, as they were written, instead of at messages.
//!
//! Here is only what such filters are made of. Who wrote them, and in which language, is not known here.

pub mod expression;

mod dialect;
