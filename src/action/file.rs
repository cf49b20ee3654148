//! What does a data file of actions say?
//!
//! In: the text of `actions/NAME.toml` and the parameters of `[action.NAME]`. Out: an [`ActionSpec`], or what
//! is wrong. Where files are looked for is the configuration's business.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::nftables::parameters;
use super::nftables::ruleset::{self, Ruleset, TemplateError};
use super::parameter::{DeclarationError, Given, ParameterError, Parameters};
use super::ports::{PortError, Ports, Protocol, Services};
use super::serve::{self, ServeSpec};
use super::{ActionJail, ActionKind, ActionSpec};
use crate::engine::name::{ActionName, JailName};
use crate::engine::prefix::SubjectWidth;

/// The actions that are shipped, compiled in so that the program works without its files.
pub const NFTABLES: &str = include_str!("../../actions/nftables.toml");
/// The one that serves the ban list.
pub const SERVE: &str = include_str!("../../actions/serve.toml");
/// The one that slows down.
pub const NFTABLES_SLOW: &str = include_str!("../../actions/nftables-slow.toml");

/// A data file, complete and checked.
#[derive(Clone, Debug)]
pub struct ActionFile {
    /// What the action is, in a line.
    pub title: String,
    /// Whether whoever it concerns still gets through, if slowly.
    pub lets_through: bool,
    /// What can be set, by name.
    pub parameters: Parameters,
    /// What the file expects of itself.
    pub samples: Vec<Sample>,
    work: Work,
}

/// What an action does, by its kind.
#[derive(Clone, Debug)]
enum Work {
    Nftables(Ruleset),
    Serve,
}

/// A jail, and the ruleset that it must get.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    jail: String,
    #[serde(default)]
    port: Vec<String>,
    #[serde(default)]
    protocol: Vec<String>,
    #[serde(default)]
    prefix: SamplePrefix,
    #[serde(default)]
    parameters: BTreeMap<String, Given>,
    ruleset: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplePrefix {
    ipv4: Option<u8>,
    ipv6: Option<u8>,
}

/// A data file that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// It is not of the form that it should have; the error knows where.
    #[error("{}", .0.message())]
    Form(#[from] toml::de::Error),
    /// A part that the kind needs is missing, or one is there that it has not.
    #[error("an action of kind {kind} {has} `{part}`")]
    Part {
        /// The kind.
        kind: &'static str,
        /// Needs it or does not have it.
        has: &'static str,
        /// The part.
        part: &'static str,
    },
    /// A part of the ruleset.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A declaration of a parameter.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// A default that is not allowed.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// A sample that does not come out as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// Its jail, width or protocol is none.
    #[error("the sample's `{0}` is wrong")]
    Jail(&'static str),
    /// Its ports are none.
    #[error("the sample's `port` is wrong: {0}")]
    Ports(#[from] PortError),
    /// Its parameters are none.
    #[error("the sample's `parameters` are wrong: {0}")]
    Parameter(#[from] ParameterError),
    /// Another ruleset comes out.
    #[error("the sample's jail gets another ruleset:\n{0}")]
    Differs(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kind: Kind,
    title: String,
    #[serde(default)]
    lets_through: bool,
    #[serde(default)]
    parameters: Parameters,
    ruleset: Option<Ruleset>,
    #[serde(default)]
    sample: Vec<Sample>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Nftables,
    Serve,
}

impl ActionFile {
    /// Reads a data file.
    ///
    /// # Errors
    /// The first thing that is wrong in it.
    pub fn parse(text: &str) -> Result<ActionFile, FileError> {
        let form: Form = toml::from_str(text)?;
        form.parameters.check()?;
        let part = |kind, has, part| Err(FileError::Part { kind, has, part });
        let work = match (form.kind, form.ruleset) {
            (Kind::Nftables, Some(ruleset)) => {
                let names = form.parameters.iter().map(|(name, _)| name);
                ruleset.check(&names.collect::<BTreeSet<_>>())?;
                Work::Nftables(ruleset)
            }
            (Kind::Nftables, None) => return part(parameters::KIND, "needs", "ruleset"),
            (Kind::Serve, Some(_)) => return part(serve::KIND, "has no", "ruleset"),
            (Kind::Serve, None) if !form.sample.is_empty() => {
                return part(serve::KIND, "has no", "sample");
            }
            (Kind::Serve, None) => Work::Serve,
        };
        let file = ActionFile {
            title: form.title,
            lets_through: form.lets_through,
            parameters: form.parameters,
            samples: form.sample,
            work,
        };
        match file.kind(&BTreeMap::new()) {
            // What has to be set is set in the configuration.
            Ok(_) | Err(ParameterError::Unset { .. }) => Ok(file),
            Err(error) => Err(error.into()),
        }
    }

    /// The action, with these parameters set and the others at their defaults.
    ///
    /// # Errors
    /// A parameter that there is not, or a value that is not allowed.
    pub fn spec(
        &self,
        name: ActionName,
        given: &BTreeMap<String, Given>,
    ) -> Result<ActionSpec, ParameterError> {
        Ok(ActionSpec {
            name,
            kind: self.kind(given)?,
            lets_through: self.lets_through,
        })
    }

    fn kind(&self, given: &BTreeMap<String, Given>) -> Result<ActionKind, ParameterError> {
        let values = self.parameters.values(given)?;
        Ok(match &self.work {
            Work::Nftables(ruleset) => ActionKind::Nftables(parameters::spec(&values, ruleset)?),
            Work::Serve => ActionKind::Serve(ServeSpec::new(&values)?),
        })
    }
}

impl Sample {
    /// Whether the file gives the sample's jail the ruleset that it expects.
    ///
    /// # Errors
    /// It does not, or the sample itself is wrong.
    pub fn check(&self, file: &ActionFile) -> Result<(), SampleError> {
        // Only files of this kind have samples.
        let ActionKind::Nftables(spec) = file.kind(&self.parameters)? else {
            return Ok(());
        };
        let jail = self.jail()?;
        let ruleset = ruleset::prepare(&spec, [&jail])
            + &ruleset::install(&spec, [&jail], &spec.devices, &[], &[]);
        let expected = self
            .ruleset
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        if expected.eq(ruleset.lines()) {
            Ok(())
        } else {
            Err(SampleError::Differs(ruleset))
        }
    }

    fn jail(&self) -> Result<ActionJail, SampleError> {
        let default = SubjectWidth::DEFAULT;
        let ipv4 = self.prefix.ipv4.unwrap_or(default.ipv4);
        let ipv6 = self.prefix.ipv6.unwrap_or(default.ipv6);
        if !(1..=32).contains(&ipv4) || !(1..=128).contains(&ipv6) {
            return Err(SampleError::Jail("prefix"));
        }
        let protocol = |word: &String| {
            word.parse::<Protocol>()
                .map_err(|_| SampleError::Jail("protocol"))
        };
        Ok(ActionJail {
            jail: self
                .jail
                .parse::<JailName>()
                .map_err(|_| SampleError::Jail("jail"))?,
            ports: Ports::parse(&self.port, &Services::well_known())?,
            protocols: self
                .protocol
                .iter()
                .map(protocol)
                .collect::<Result<_, _>>()?,
            width: SubjectWidth { ipv4, ipv6 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::nftables::ruleset::NftablesSpec;
    use super::*;
    use crate::action::nftables::ruleset::{Answer, OnStop, Verdict};

    fn shipped() -> ActionFile {
        ActionFile::parse(NFTABLES).expect("the shipped file is sound")
    }

    #[test]
    fn every_shipped_file_does_what_it_says() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/actions");
        for entry in std::fs::read_dir(folder).expect("the folder of actions") {
            let path = entry.expect("a file").path();
            let text = std::fs::read_to_string(&path).expect("a text");
            let file = ActionFile::parse(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let has_samples = text.contains("kind = \"nftables\"");
            assert_eq!(!file.samples.is_empty(), has_samples, "{}", path.display());
            for sample in &file.samples {
                sample
                    .check(&file)
                    .unwrap_or_else(|error| panic!("{error}"));
            }
            for (_, parameter) in file.parameters.iter() {
                assert!(
                    parameter.about.ends_with('.'),
                    "a sentence: {}",
                    parameter.about
                );
            }
        }
    }

    fn with(name: &str, value: &str) -> Result<NftablesSpec, ParameterError> {
        let given = BTreeMap::from([(name.to_owned(), Given::One(value.to_owned()))]);
        match shipped().kind(&given)? {
            ActionKind::Nftables(spec) => Ok(spec),
            ActionKind::Serve(_) => panic!("it is of kind nftables"),
        }
    }

    #[test]
    fn a_sample_that_differs_is_told() {
        let file = shipped();
        let mut sample = file.samples[0].clone();
        sample.ruleset = sample.ruleset.replace("drop", "accept");
        assert!(matches!(sample.check(&file), Err(SampleError::Differs(_))));
    }

    #[test]
    fn parameters_are_set_and_checked() {
        assert_eq!(
            with("table", "guard").map(|spec| spec.table.name),
            Ok("guard".to_owned())
        );
        assert_eq!(
            with("verdict", "reject").map(|spec| spec.verdict),
            Ok(Verdict::Reject {
                ipv4: Answer::Reset,
                ipv6: Answer::Reset
            })
        );
        assert_eq!(
            with("on_stop", "remove").map(|spec| spec.on_stop),
            Ok(OnStop::Remove)
        );
        assert!(
            with("priority", "raw + 5")
                .is_ok_and(|spec| spec.ruleset.chain.contains("priority raw + 5;"))
        );
        for (name, value) in [
            ("table", "4"),
            ("table", "a b"),
            ("table", "x; flush ruleset"),
            ("verdict", "accept"),
            ("on_stop", ""),
            ("nft", ""),
            ("sets", "shared"),
            ("priority", "0; }\nflush ruleset"),
            ("priority", "foo"),
            ("priority", "filter -"),
            ("priority", "filter - -5"),
        ] {
            assert!(
                matches!(with(name, value), Err(ParameterError::Value { .. })),
                "{name} = {value:?}"
            );
        }
        assert!(matches!(
            with("tabel", "x"),
            Err(ParameterError::Unknown { .. })
        ));
    }

    #[test]
    fn faults_of_a_file_are_found_when_it_is_read() {
        let broken = |from: &str, to: &str| {
            assert!(NFTABLES.contains(from), "{from}");
            ActionFile::parse(&NFTABLES.replacen(from, to, 1)).expect_err("it is broken")
        };
        assert!(matches!(
            broken("kind = \"nftables\"", "kind = \"iptables\""),
            FileError::Form(_)
        ));
        assert!(matches!(
            broken("<from>", "<form>"),
            FileError::Template(TemplateError::Unknown { .. })
        ));
        assert!(matches!(
            broken("<from>", ""),
            FileError::Template(TemplateError::Missing { .. })
        ));
        assert!(matches!(
            broken("[parameters.table]", "[parameters.tables]"),
            FileError::Template(TemplateError::Unknown { .. })
                | FileError::Parameter(ParameterError::Missing { .. })
        ));
        assert!(matches!(
            broken("default = \"drop\"", "default = \"\""),
            FileError::Declaration(DeclarationError::Default(_))
        ));
        assert!(matches!(
            broken("[parameters.priority]", "[parameters.Priority]"),
            FileError::Declaration(DeclarationError::Name(_))
        ));
    }
}
