//! Do the means of actions do one thing, with real programs and real servers, and never wait for ever?

mod certificate;
mod exec;
mod http;
mod mail;
