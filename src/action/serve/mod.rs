//! Who else hears who is banned?
//!
//! Keeps a list of all bans of the action's jails and serves it over HTTP: as a plain list to firewalls and proxies that
//! fetch one, and as decisions to the bouncers of CrowdSec. Nobody can change anything there.
//!
//! [`listing`] is the list and what changed of it, [`formats`] and [`decisions`] write it, [`query`] reads what is asked
//! for, [`keys`] knows who asks, [`site`] answers, and [`http`] carries requests and answers on a thread of its own.

pub mod decisions;
pub mod formats;
pub mod http;
pub mod keys;
pub mod listing;
pub mod query;
pub mod site;

use std::net::SocketAddr;
use std::sync::Arc;

use super::parameter::{ParameterError, Value, Values};
use super::projection::{Projection, Touched};
use super::secret::{Secret, SecretError};
use super::worker::{Clock, Keeper};
use super::{Ending, InForce};
use crate::engine::name::ActionName;
use http::{Server, StartError};
use keys::Keys;
use site::Site;

/// The word of data files.
pub const KIND: &str = "serve";

/// What an action of this kind does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeSpec {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The keys of those who may ask for decisions.
    pub keys: Vec<Secret>,
    /// Whether the plain lists are given to everybody who can connect.
    pub open_lists: bool,
}

impl ServeSpec {
    /// What the parameters of a data file come to.
    ///
    /// # Errors
    /// A parameter that the data file does not declare, or a value that is not allowed.
    pub fn new(values: &Values) -> Result<ServeSpec, ParameterError> {
        let list = |name: &'static str| match values.get(name) {
            Some(Value::List(values)) => Ok(values),
            _ => Err(ParameterError::Missing { kind: KIND, name }),
        };
        let refuse = |name: &str, value: &str, wanted: &str| ParameterError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
            wanted: wanted.to_owned(),
        };
        let sockets = list("listen")?.iter().map(|text| {
            let wanted = "an address and a port such as \"127.0.0.1:8082\"";
            text.parse().map_err(|_| refuse("listen", text, wanted))
        });
        let listen: Vec<SocketAddr> = sockets.collect::<Result<_, _>>()?;
        if listen.is_empty() {
            return Err(refuse("listen", "[]", "at least one address and port"));
        }
        let wanted = "\"file:/PATH\" or \"credential:NAME\", which say where each key is kept";
        // What is written there may be the key itself.
        let keys = list("keys")?
            .iter()
            .map(|text| text.parse().map_err(|_| refuse("keys", "***", wanted)));
        let keys: Vec<Secret> = keys.collect::<Result<_, _>>()?;
        let open_lists = values.text(KIND, "open_lists")? == "true";
        if !open_lists && keys.is_empty() {
            return Err(refuse(
                "open_lists",
                "false",
                "true, or set `keys`: nobody could ask for anything",
            ));
        }
        Ok(ServeSpec {
            listen,
            keys,
            open_lists,
        })
    }

    /// Whether both would listen at the same place.
    pub fn shares_socket_with(&self, other: &ServeSpec) -> bool {
        let overlaps = |one: &SocketAddr, other: &SocketAddr| {
            let anywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() == other.port() && (anywhere || one.ip() == other.ip())
        };
        let mut sockets = self.listen.iter();
        sockets.any(|own| other.listen.iter().any(|others| overlaps(own, others)))
    }

    /// The first socket at which other machines can read the lists without a key.
    pub fn open_to_others(&self) -> Option<SocketAddr> {
        let mut sockets = self.listen.iter().copied();
        sockets.find(|socket| self.open_lists && !socket.ip().to_canonical().is_loopback())
    }
}

/// Serves what a projection says.
pub struct Publisher<'s> {
    spec: &'s ServeSpec,
    site: Arc<Site>,
    server: Option<Server>,
}

/// Why not everything is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody can connect.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Somebody's key is not known.
    #[error(transparent)]
    Key(#[from] SecretError),
}

impl<'s> Publisher<'s> {
    /// Serves nothing yet.
    pub fn new(name: &ActionName, spec: &'s ServeSpec) -> Publisher<'s> {
        Publisher {
            spec,
            site: Arc::new(Site::new(name.clone(), spec.open_lists)),
            server: None,
        }
    }
}

impl Keeper for Publisher<'_> {
    type Error = ServeError;

    fn recall(&mut self, lifted: Vec<InForce>, clock: Clock<'_>) {
        let mut listing = self.site.listing();
        for ban in lifted {
            if let Some(network) = ban.subject.network() {
                listing.recall(network, &ban.jail, ban.until, clock());
            }
        }
    }

    fn reconcile(&mut self, projection: &Projection, clock: Clock<'_>) -> Result<(), ServeError> {
        self.site.listing().replace(projection, clock());
        let (keys, trouble) = Keys::read(&self.spec.keys);
        self.site.renew(keys);
        if self.server.is_none() {
            // Only now, so that nobody is told that nobody is banned.
            self.server = Some(Server::start(&self.spec.listen, self.site.clone())?);
        }
        trouble.map_or(Ok(()), |error| Err(error.into()))
    }

    fn change(
        &mut self,
        projection: &Projection,
        touched: &Touched,
        clock: Clock<'_>,
    ) -> Result<(), ServeError> {
        self.site.listing().change(projection, touched, clock());
        Ok(())
    }

    /// Whoever has fetched the list goes on with what he has.
    fn stop(&mut self, _: Ending) -> Result<(), ServeError> {
        self.server = None;
        Ok(())
    }
}
