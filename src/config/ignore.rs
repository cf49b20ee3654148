//! Who is never banned?
//!
//! In: the words of `ignoreip`, `ignoreself`, `ignorecommand` and `trusted`. Out: an [`IgnoreList`] for each of
//! `ignoreip` and `trusted`, and which sets of addresses somebody has to keep an eye on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::class::Named;
use super::jail::JailSettings;
use super::problem::{Place, Problems};
use crate::engine::atlas::{Atlas, Region};
use crate::engine::policy::{AddressSet, IGNOREIP, IgnoreList, IgnoreRule, SetName};
use crate::ignore::Lists;
use crate::ignore::word::Word;

/// How long all host names together may take; whoever is not known by then is reported.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// The key that names proxies.
pub const TRUSTED: &str = "trusted";

/// What the words of a key say.
#[derive(Default)]
struct Said {
    rules: Vec<IgnoreRule>,
    sets: BTreeSet<SetName>,
    regions: Vec<(Region, AddressSet)>,
}

impl Said {
    fn list(self) -> IgnoreList {
        IgnoreList::new(self.rules)
            .with(self.sets)
            .with_regions(self.regions)
    }
}

/// Makes ignore lists, and knows where each set was written first.
#[derive(Debug)]
pub struct Ignored {
    sets: BTreeMap<SetName, Option<Place>>,
    atlas: Arc<Atlas>,
    named: Named,
    /// The networks of a region are looked for once.
    regions: BTreeMap<Region, AddressSet>,
}

impl Ignored {
    /// Nobody yet.
    pub fn new(atlas: &Arc<Atlas>, named: Named) -> Self {
        Ignored {
            sets: BTreeMap::new(),
            atlas: Arc::clone(atlas),
            named,
            regions: BTreeMap::new(),
        }
    }

    /// The networks of a region, unless they cannot be told, which is reported.
    fn region(
        &mut self,
        key: &str,
        region: Region,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<AddressSet> {
        let (is_named, database) = match region {
            Region::Country(_) => (self.named.country, "country"),
            Region::Network(_) => (self.named.operator, "operator"),
        };
        if !is_named {
            let message = format!("`{key}`: {region} needs a database");
            let remedy = format!("name one with `{database}` in [daemon]");
            problems.error(place, message, remedy);
            return None;
        }
        if let Some(known) = self.regions.get(&region) {
            return Some(known.clone());
        }
        let networks = match self.atlas.networks(region) {
            Ok(networks) => networks,
            Err(error) => {
                let message = format!("`{key}`: {region} cannot be told: {error}");
                problems.warning(
                    place,
                    message,
                    format!("put another file where `{database}` says"),
                );
                return None;
            }
        };
        let rules = networks.into_iter().map(|prefix| IgnoreRule {
            prefix,
            because: format!("{IGNOREIP} {region}").into(),
        });
        let set = AddressSet::new(rules.collect());
        self.regions.insert(region, set.clone());
        Some(set)
    }

    /// Whom a jail never bans.
    pub fn list(
        &mut self,
        words: &[(&str, &Place)],
        own: bool,
        command: &[(&str, &Place)],
        problems: &mut Problems,
    ) -> IgnoreList {
        let mut said = self.read(IGNOREIP, words, problems);
        if own {
            self.sets.entry(SetName::Own).or_insert(None);
            said.sets.insert(SetName::Own);
        }
        if let [(program, place), ..] = command {
            if !program.starts_with('/') {
                problems.error(
                    place,
                    format!("`ignorecommand`: `{program}` is no absolute path"),
                    "write the program's path first, then its arguments; the address comes last",
                );
            } else if !Path::new(program).exists() {
                problems.warning(
                    place,
                    format!("there is no program `{program}`: it spares nobody"),
                    "write the path of a program that there is",
                );
            }
            let words = command.iter().map(|(word, _)| Box::from(*word));
            said.sets.insert(SetName::Command(words.collect()));
        }
        said.list()
    }

    /// The proxies that a jail believes.
    pub fn trusted(&mut self, words: &[(&str, &Place)], problems: &mut Problems) -> IgnoreList {
        self.read(TRUSTED, words, problems).list().named_by(TRUSTED)
    }

    /// What the words of a key say.
    fn read(&mut self, key: &str, words: &[(&str, &Place)], problems: &mut Problems) -> Said {
        let Said {
            mut rules,
            mut sets,
            mut regions,
        } = Said::default();
        for (word, place) in words {
            match word.parse::<Region>() {
                Ok(region) => {
                    let networks = self.region(key, region, place, problems);
                    regions.extend(networks.map(|networks| (region, networks)));
                    continue;
                }
                Err(error) if word.starts_with("country:") || word.starts_with("asn:") => {
                    let remedy = "write \"country:DE\", or \"asn:64500\"";
                    problems.error(place, format!("`{key}`: {error}"), remedy);
                    continue;
                }
                Err(_) => {}
            }
            match Word::parse(word) {
                Ok(Word::Networks(networks)) => {
                    for prefix in networks {
                        if !rules.iter().any(|rule| rule.prefix == prefix) {
                            let because = format!("{key} {word}").into();
                            rules.push(IgnoreRule { prefix, because });
                        }
                    }
                }
                Ok(Word::Set(set)) => {
                    let written = || Some(Place::clone(place));
                    self.sets.entry(set.clone()).or_insert_with(written);
                    sets.insert(set);
                }
                Err(error) => problems.error(
                    place,
                    format!("`{key}`: {error}, nor a range, a host name or a path"),
                    "write a list such as [\"192.0.2.7\", \"10.0.0.0/8\", \"10.0.0.1-10.0.0.9\", \"home.example.org\", \"/etc/f2bd/office.txt\", \"own\"]",
                ),
            }
        }
        Said {
            rules,
            sets,
            regions,
        }
    }

    /// Looks at what the sets hold, at host names only if somebody waits for them. What is wrong with one is reported
    /// where it is written.
    pub fn look(self, asks: bool, problems: &mut Problems) -> Lists {
        let sets = self.sets.keys().cloned().collect();
        let (lists, troubles) = Lists::look(sets, asks.then_some(RESOLVE_WITHIN));
        for trouble in troubles {
            let remedy = match &trouble.set {
                SetName::Host(_) => "check the name, or write its address; a daemon goes on asking",
                SetName::File(_) => "write an address, a network, a range or a host name a line",
                _ => "write the addresses",
            };
            if let Some(Some(place)) = self.sets.get(&trouble.set) {
                problems.warning(place, trouble.message, remedy);
            }
        }
        lists
    }
}

/// Fills the lists of jails with what the sets hold.
pub fn fill(jails: &mut [JailSettings], lists: &Lists) {
    let filled = jails.iter_mut();
    for list in filled.flat_map(|jail| [&mut jail.ignore, &mut jail.trusted]) {
        let sets: Vec<_> = list.sets().map(|(set, _)| set.clone()).collect();
        for set in sets {
            list.fill(&set, &lists.addresses(&set));
        }
    }
}
