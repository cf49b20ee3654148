//! How do typed values travel as JSON? As the text that people write: `"192.0.2.7/32"`, `"2026-02-12T14:10:21Z"`.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a value as its text.
pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a value from its text.
pub fn deserialize<'d, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'d>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

/// The same for a value that may be missing.
pub mod option {
    use super::{Deserialize, Deserializer, Display, Error, FromStr, Serializer};

    /// Writes a value as its text, or null.
    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a value from its text, or from null.
    pub fn deserialize<'d, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'d>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

/// A subject travels as the text `subject`, beside which `named` says that it is a name, whatever it looks like.
pub mod subject {
    use std::borrow::Cow;

    use serde::Serialize;

    use super::{Deserialize, Deserializer, Error, Serializer};
    use crate::engine::subject::{Name, Subject};

    #[derive(Serialize, Deserialize)]
    struct Fields<'a> {
        subject: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        named: bool,
    }

    /// Writes the fields.
    pub fn serialize<S: Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = match subject {
            Subject::Network(network) => Fields {
                subject: network.to_string().into(),
                named: false,
            },
            Subject::Name(name) => Fields {
                subject: name.as_str().into(),
                named: true,
            },
        };
        fields.serialize(serializer)
    }

    /// Reads them.
    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Subject, D::Error> {
        let Fields { subject, named } = Fields::deserialize(deserializer)?;
        match named {
            true => {
                let name = Name::of(&subject).map(Subject::Name);
                name.ok_or_else(|| D::Error::custom("an empty name"))
            }
            false => subject.parse().map_err(D::Error::custom),
        }
    }
}

/// Bantimes are seconds, -1 for one without end.
pub mod seconds {
    use std::time::Duration;

    use serde::Serialize;

    use super::{Deserialize, Deserializer, Serializer};
    use crate::engine::time::BanTime;

    /// A whole number where it is one.
    pub fn as_json(bantime: BanTime) -> serde_json::Value {
        match bantime {
            BanTime::For(span) if span.subsec_nanos() == 0 => span.as_secs().into(),
            BanTime::For(span) => span.as_secs_f64().into(),
            BanTime::Forever => (-1).into(),
        }
    }

    /// Writes a number of seconds, whole where it is.
    pub fn whole<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        let bantime = Duration::try_from_secs_f64(*seconds).map_or(BanTime::Forever, BanTime::For);
        as_json(bantime).serialize(serializer)
    }

    /// Writes the number.
    pub fn serialize<S: Serializer>(bantime: &BanTime, serializer: S) -> Result<S::Ok, S::Error> {
        as_json(*bantime).serialize(serializer)
    }

    /// Reads seconds; a negative number is for ever.
    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<BanTime, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Ok(Duration::try_from_secs_f64(seconds).map_or(BanTime::Forever, BanTime::For))
    }
}
