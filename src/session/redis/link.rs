//! One connection to one server, shared by all who ask it: made within a bound, given up when nothing comes any more.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, PushInfo, RedisError, Value};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::session::redis::heard::{Ears, Heard, Stream};
use crate::session::redis::plan::{Login, Place};
use crate::session::store::StoreFault;

/// Commands that wait to be written; more wait their turn, each within its own bound.
const PIPELINE_MAX: usize = 1_024;

/// Time for an answer of which something comes all the time. Calls wait far less.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A connection on which nothing came for so long is not used again: a balancer or a router in between may have forgotten it, and
/// would tell nobody.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Makes connections with one user's rights.
pub(super) struct Dialer {
    login: Login,
    /// A server or a proxy in between spoke RESP2 only.
    is_old: AtomicBool,
}

impl Dialer {
    pub fn new(login: Login) -> Self {
        Self { login, is_old: AtomicBool::new(false) }
    }

    /// Time for one connection, handshakes included.
    pub fn bound(&self) -> Duration {
        self.login.connect
    }

    pub async fn dial(&self, place: &Place) -> Result<Arc<Link>, StoreFault> {
        self.dial_with(place, None).await
    }

    /// With what the server pushes.
    pub async fn dial_with(
        &self,
        place: &Place,
        pushes: Option<mpsc::UnboundedSender<PushInfo>>,
    ) -> Result<Arc<Link>, StoreFault> {
        match timeout(self.login.connect, self.open(place, pushes)).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(why)) => Err(StoreFault::Away(format!("redis {place}: {why}"))),
            Err(_) => {
                let bound = self.login.connect.as_millis();
                Err(StoreFault::Away(format!("redis {place}: no connection within {bound} ms")))
            }
        }
    }

    async fn open(
        &self,
        place: &Place,
        pushes: Option<mpsc::UnboundedSender<PushInfo>>,
    ) -> Result<Arc<Link>, String> {
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_MAX);
        let wants_pushes = pushes.is_some();
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
        }
        let made = match self.is_old.load(Ordering::Relaxed) && !wants_pushes {
            true => self.shake(place, ProtocolVersion::RESP2, config).await,
            false => match self.shake(place, ProtocolVersion::RESP3, config.clone()).await {
                Err(Unmade::Redis(fault)) if speaks_resp2_only(&fault) && !wants_pushes => {
                    self.is_old.store(true, Ordering::Relaxed);
                    self.shake(place, ProtocolVersion::RESP2, config).await
                }
                made => made,
            },
        };
        made.map_err(|it| it.to_text())
    }

    async fn shake(
        &self,
        place: &Place,
        protocol: ProtocolVersion,
        config: AsyncConnectionConfig,
    ) -> Result<Arc<Link>, Unmade> {
        let stream = self.stream(place).await.map_err(Unmade::Io)?;
        let ears = Arc::new(Ears::new());
        let stream = Heard::new(stream, Arc::clone(&ears));
        let login = self.login.redis.clone().set_protocol(protocol);
        let made = MultiplexedConnection::new_with_config(&login, stream, config).await;
        let (connection, driver) = made.map_err(Unmade::Redis)?;
        Ok(Arc::new(Link::start(place.clone(), connection, ears, driver)))
    }

    async fn stream(&self, place: &Place) -> io::Result<Box<dyn Stream>> {
        let (host, port) = match place {
            Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path.as_path()).await?)),
            Place::Tcp(host, port) => (host.as_ref(), *port),
        };
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.login.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
    }
}

/// Why there is no connection.
enum Unmade {
    Io(io::Error),
    Redis(RedisError),
}

impl Unmade {
    /// Of a refused login the crate tells more than needs to be known; a password is in none of its words. What it says of an
    /// answer that is none has lines, and parts of that answer.
    fn to_text(&self) -> String {
        match self {
            Unmade::Io(fault) => fault.to_string(),
            Unmade::Redis(fault) if fault.kind() == ErrorKind::Parse => "it does not speak Redis".into(),
            Unmade::Redis(fault) => fault.to_string(),
        }
    }
}

fn speaks_resp2_only(fault: &RedisError) -> bool {
    let says = |words: &str| fault.detail().is_some_and(|it| it.contains(words));
    fault.kind() == ErrorKind::RESP3NotSupported || fault.code() == Some("NOPROTO") || says("unknown command")
}

/// Why a command has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Its time was over.
    Late,
    /// The connection broke.
    Broken,
}

/// A connection. Dropping the last handle closes it.
pub(super) struct Link {
    pub place: Place,
    connection: MultiplexedConnection,
    is_open: Arc<AtomicBool>,
    /// What came so far: it shows that a server lives which let one command wait too long.
    ears: Arc<Ears>,
    driver: AbortHandle,
}

impl Link {
    fn start(
        place: Place,
        connection: MultiplexedConnection,
        ears: Arc<Ears>,
        driver: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let is_open = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&is_open);
        let driver = tokio::spawn(async move {
            driver.await;
            flag.store(false, Ordering::Relaxed);
        });
        Self { place, connection, is_open, ears, driver: driver.abort_handle() }
    }

    /// Whether commands may be sent on it; it is not told at once when a peer is gone without a word.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Whether it may be gone although nobody was told.
    pub fn is_idle(&self) -> bool {
        self.ears.silence() >= IDLE_MAX
    }

    /// Ends every wait for an answer.
    pub fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        self.driver.abort();
    }

    /// Sends a command, `asking` before it where a slot of a cluster is under way to this server. `bound`: for how long nothing
    /// may come; what comes may belong to answers before this one, which is on its way then.
    pub async fn exchange(
        self: &Arc<Self>,
        command: &Cmd,
        asking: bool,
        bound: Duration,
    ) -> Result<Value, Unanswered> {
        let mut watch = Watch { link: self, heard: self.ears.bytes(), bound, is_over: false };
        let mut connection = self.connection.clone();
        let mut answer = pin!(async {
            if !asking {
                return connection.send_packed_command(command).await;
            }
            let mut both = redis::pipe();
            both.cmd("ASKING").add_command(command.clone());
            let answers = connection.send_packed_commands(&both, 0, 2).await?;
            Ok(answers.into_iter().nth(1).unwrap_or(Value::Nil))
        });
        let end = Instant::now() + ANSWER_MAX.max(bound);
        let answer = loop {
            let heard = self.ears.bytes();
            let answered = timeout(bound, &mut answer).await;
            if answered.is_ok() || self.ears.bytes() == heard || Instant::now() >= end {
                break answered;
            }
            watch.heard = heard;
        };
        watch.is_over = true;
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => {
                self.close();
                Err(Unanswered::Broken)
            }
            Err(_) => {
                self.judge(watch.heard);
                Err(Unanswered::Late)
            }
        }
    }

    /// Closes it if nothing came since so many bytes were heard.
    fn judge(&self, heard: u64) {
        if self.ears.bytes() == heard {
            self.close();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sees to it that a caller who leaves early does not hide that nothing comes any more.
struct Watch<'a> {
    link: &'a Arc<Link>,
    heard: u64,
    bound: Duration,
    is_over: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_over {
            return;
        }
        let (link, heard, bound) = (Arc::downgrade(self.link), self.heard, self.bound);
        runtime.spawn(async move {
            tokio::time::sleep(bound).await;
            if let Some(link) = link.upgrade() {
                link.judge(heard);
            }
        });
    }
}
