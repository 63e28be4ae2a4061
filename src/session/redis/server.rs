//! One server and the connection to it, made when it is needed and again when it broke.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use crate::session::redis::flight::Flight;
use crate::session::redis::link::{Dialer, Link};
use crate::session::redis::plan::Place;
use crate::session::redis::sentinel::Sentinels;
use crate::session::store::StoreFault;

/// Where it is.
pub(super) enum Whereabouts {
    Known(Place),
    /// The master, whichever it is now.
    Master(Arc<Sentinels>),
}

/// A server.
pub(super) struct Server {
    whereabouts: Whereabouts,
    dialer: Arc<Dialer>,
    link: ArcSwapOption<Link>,
    dialing: Flight<Arc<Link>>,
}

impl Server {
    pub fn new(whereabouts: Whereabouts, dialer: Arc<Dialer>) -> Arc<Self> {
        Arc::new(Self { whereabouts, dialer, link: ArcSwapOption::empty(), dialing: Flight::new() })
    }

    /// The open connection, or a new one; many who need it wait for the same one, no longer than it may take.
    pub async fn link(self: &Arc<Self>) -> Result<Arc<Link>, StoreFault> {
        match self.open_link() {
            Some(link) => Ok(link),
            None => self.dialing.join(|| self.open_link(), || Self::dial(Arc::downgrade(self))).await,
        }
    }

    fn open_link(&self) -> Option<Arc<Link>> {
        self.link.load_full().filter(|it| it.is_open() && !it.is_idle())
    }

    async fn dial(server: Weak<Self>) -> Result<Arc<Link>, StoreFault> {
        let Some(server) = server.upgrade() else {
            return Err(StoreFault::Away("redis: nobody needs it any more".into()));
        };
        let link = match &server.whereabouts {
            Whereabouts::Known(place) => server.dialer.dial(place).await?,
            Whereabouts::Master(sentinels) => {
                sentinels.watch(&server);
                sentinels.master(&server.dialer).await?
            }
        };
        server.link.store(Some(Arc::clone(&link)));
        Ok(link)
    }

    /// Whoever asks next gets a new connection; what is under way on the present one ends as it will.
    pub fn leave(&self) {
        self.link.store(None);
    }
}
