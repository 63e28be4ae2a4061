//! Asks the server whose turn it is, and asks again where that was another one; all of it within one bound.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, sleep, timeout_at};

use crate::session::redis::cluster::Cluster;
use crate::session::redis::link::{Dialer, Link, Unanswered};
use crate::session::redis::plan::{self, Place, Plan};
use crate::session::redis::request::{Request, Shape};
use crate::session::redis::sentinel::Sentinels;
use crate::session::redis::server::{Server, Whereabouts};
use crate::session::redis::verdict::{Verdict, verdict};
use crate::session::store::StoreFault;

/// Times one request is sent: to a server that does not know the script, to one that knows who does, and to those.
const TRIES_MAX: usize = 5;

/// Times it waits for keys that are under way, and for how long each.
const SPLITS_MAX: usize = 4;
const SPLIT_PAUSE: Duration = Duration::from_millis(20);

/// The servers.
pub(super) struct Topology {
    servers: Servers,
    connect: Duration,
    command: Duration,
}

enum Servers {
    One(Arc<Server>),
    Cluster(Arc<Cluster>),
}

/// Where a request goes next.
enum Way {
    /// To who serves its key.
    Own,
    To(Place),
    /// To a node that a slot is under way to.
    Asking(Place),
}

/// One request until it is answered.
struct Errand<'a> {
    request: &'a Request,
    way: Way,
    /// For one answer.
    bound: Duration,
    /// For all of it.
    until: Instant,
    shape: Shape,
    /// Times it was sent since it last waited for keys under way, and times it did that.
    tries: usize,
    splits: usize,
    /// It was sent again on a new connection after nothing came on the old one.
    is_repeated: bool,
    /// Who serves what was asked anew.
    has_looked: bool,
    /// The worst that may have happened: what was perhaps done stays perhaps done, whatever comes of a second try.
    worst: Option<StoreFault>,
}

impl Errand<'_> {
    fn fail(&mut self, fault: StoreFault) -> ControlFlow<Result<Value, StoreFault>> {
        ControlFlow::Break(Err(match self.worst.take() {
            Some(lost @ StoreFault::Lost(_)) => lost,
            _ => fault,
        }))
    }

    fn may_repeat(&self) -> bool {
        self.request.is_repeatable && !self.is_repeated
    }

    /// Not all keys are where it was sent: perhaps for there is no such record, else they come soon.
    async fn wait(&mut self, fault: StoreFault) -> ControlFlow<Result<Value, StoreFault>> {
        if self.shape != Shape::Narrow && self.request.narrows() {
            self.shape = Shape::Narrow;
            return ControlFlow::Continue(());
        }
        if self.splits == SPLITS_MAX {
            return self.fail(fault);
        }
        sleep(SPLIT_PAUSE).await;
        (self.splits, self.tries) = (self.splits + 1, 0);
        (self.shape, self.way) = (Shape::Short, Way::Own);
        ControlFlow::Continue(())
    }

    fn go_on(&mut self, fault: StoreFault) -> ControlFlow<Result<Value, StoreFault>> {
        if !matches!(self.worst, Some(StoreFault::Lost(_))) {
            self.worst = Some(fault);
        }
        ControlFlow::Continue(())
    }
}

impl Topology {
    pub fn new(plan: Plan) -> Arc<Self> {
        let Plan { login, shape, command } = plan;
        let connect = login.connect;
        let dialer = Arc::new(Dialer::new(login));
        let servers = match shape {
            plan::Shape::Single(place) => Servers::One(Server::new(Whereabouts::Known(place), dialer)),
            plan::Shape::Sentinel { nodes, master, login } => {
                let sentinels = Sentinels::new(nodes, master, Dialer::new(login));
                Servers::One(Server::new(Whereabouts::Master(sentinels), dialer))
            }
            plan::Shape::Cluster(seeds) => Servers::Cluster(Cluster::new(seeds, dialer, command)),
        };
        Arc::new(Self { servers, connect, command })
    }

    /// The answer to a request: within the time to connect and the time for an answer, however many servers are asked.
    pub async fn ask(&self, request: &Request) -> Result<Value, StoreFault> {
        self.ask_by(request, Way::Own).await
    }

    /// Asks the server at that place; of a single server, whatever it is called.
    pub async fn ask_at(&self, request: &Request, place: &Place) -> Result<Value, StoreFault> {
        self.ask_by(request, Way::To(place.clone())).await
    }

    async fn ask_by(&self, request: &Request, way: Way) -> Result<Value, StoreFault> {
        let bound = request.bound(self.command);
        let mut errand = Errand {
            request,
            way,
            bound,
            until: Instant::now() + self.connect + bound,
            shape: Shape::Short,
            tries: 0,
            splits: 0,
            is_repeated: false,
            has_looked: false,
            worst: None,
        };
        while errand.tries < TRIES_MAX {
            errand.tries += 1;
            if let ControlFlow::Break(answer) = self.step(&mut errand).await {
                return answer;
            }
        }
        let lost = StoreFault::Away("redis: each server names another one".into());
        Err(errand.worst.unwrap_or(lost))
    }

    /// Sends it once. It goes on where another server, or another connection, may do it.
    async fn step(&self, errand: &mut Errand<'_>) -> ControlFlow<Result<Value, StoreFault>> {
        let (server, link) = match timeout_at(errand.until, self.link(errand.request, &errand.way)).await {
            Ok(Ok(found)) => found,
            Ok(Err(fault)) => {
                if errand.has_looked || !self.look_again(errand.until).await {
                    return errand.fail(fault);
                }
                (errand.has_looked, errand.way) = (true, Way::Own);
                return errand.go_on(fault);
            }
            Err(_) => return errand.fail(StoreFault::Away("redis: no connection in time".into())),
        };
        let bound = errand.bound.min(errand.until.saturating_duration_since(Instant::now()));
        let command = errand.request.to_command(errand.shape);
        let error = match link.exchange(&command, matches!(errand.way, Way::Asking(_)), bound).await {
            Ok(Value::ServerError(error)) => error,
            Ok(value) => return ControlFlow::Break(Ok(value)),
            Err(Unanswered::Broken) if errand.request.is_repeatable => {
                return errand.go_on(unanswered_fault(Unanswered::Broken, &link, bound));
            }
            // A connection that something in between dropped without a word is not the end of a server.
            Err(Unanswered::Late) if errand.may_repeat() && !link.is_open() => {
                errand.is_repeated = true;
                return errand.go_on(unanswered_fault(Unanswered::Late, &link, bound));
            }
            Err(unanswered) => return errand.fail(unanswered_fault(unanswered, &link, bound)),
        };
        match verdict(&error, &link.place) {
            Verdict::Fault(fault) => return errand.fail(fault),
            Verdict::Unknown => errand.shape = Shape::Whole,
            Verdict::Split(fault) => return errand.wait(fault).await,
            Verdict::Ask(place) => errand.way = Way::Asking(place),
            Verdict::Moved(place) => {
                self.moved();
                errand.way = Way::To(place);
            }
            Verdict::NotMaster(fault) => {
                server.leave();
                self.moved();
                return errand.go_on(fault);
            }
        }
        ControlFlow::Continue(())
    }

    async fn link(&self, request: &Request, way: &Way) -> Result<(Arc<Server>, Arc<Link>), StoreFault> {
        let server = match (&self.servers, way) {
            (Servers::One(server), _) => Arc::clone(server),
            (Servers::Cluster(cluster), Way::To(place) | Way::Asking(place)) => cluster.at(place),
            (Servers::Cluster(cluster), Way::Own) => {
                cluster.server(request.key().unwrap_or_default()).await?
            }
        };
        let link = server.link().await?;
        Ok((server, link))
    }

    /// Whether somebody else may serve what a server does that cannot be reached: so it is after a failover.
    async fn look_again(&self, until: Instant) -> bool {
        match &self.servers {
            Servers::One(_) => false,
            Servers::Cluster(cluster) => matches!(timeout_at(until, cluster.learn()).await, Ok(Ok(_))),
        }
    }

    fn moved(&self) {
        if let Servers::Cluster(cluster) = &self.servers {
            cluster.learn_aside();
        }
    }

    /// All masters with what they are sorted by; of a single server none.
    pub async fn masters(&self) -> Result<Vec<(u16, Place)>, StoreFault> {
        match &self.servers {
            Servers::One(_) => Ok(Vec::new()),
            Servers::Cluster(cluster) => Ok(cluster.learn().await?.masters()),
        }
    }
}

fn unanswered_fault(unanswered: Unanswered, link: &Link, bound: Duration) -> StoreFault {
    let place = &link.place;
    StoreFault::Lost(match unanswered {
        Unanswered::Late => format!("redis {place}: no answer within {} ms", bound.as_millis()),
        Unanswered::Broken => format!("redis {place}: the connection broke"),
    })
}
