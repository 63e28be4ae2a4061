//! Credentials that clouds give out: what is shown now, what signs a request with it, and the task that renews it ahead
//! of its end ([`refresh`]). No call fetches any; only those that come before the very first one was had wait for it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use http::{HeaderValue, Request, header};
use tokio::sync::{Notify, watch};

use crate::error::{Error, Kind, Origin};
use crate::names::Secret;
use crate::upstream::Upstream;
use crate::upstream::credential::spec::{AwsKeys, AwsSource, CredentialSpec};
use crate::upstream::payload::{Outgoing, Payload};

mod aws;
mod entra;
mod exchange;
mod google;
pub mod options;
pub mod refresh;
mod sign;
pub mod spec;
mod token;

/// Longest wait of a call for the first credentials of its upstream.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The credentials of one upstream.
pub struct Credential {
    spec: CredentialSpec,
    held: ArcSwapOption<Fresh>,
    /// What was shown before: a late answer may repeat it.
    before: ArcSwapOption<Fresh>,
    /// Whether they were fetched once, or could not be.
    tried: watch::Sender<bool>,
    /// The upstream refused what was shown.
    refused: Notify,
}

/// Credentials as they were given out.
#[derive(Debug)]
struct Fresh {
    shown: Shown,
    /// None: they last as long as the configuration.
    expires: Option<SystemTime>,
}

/// What an upstream is shown.
#[derive(Debug)]
enum Shown {
    Token {
        text: Secret,
        /// `Bearer` and the token, marked sensitive.
        header: HeaderValue,
    },
    Aws(AwsKeys),
}

impl Shown {
    fn token(text: Secret) -> Result<Self, String> {
        let mut header = HeaderValue::try_from(format!("Bearer {}", text.reveal()))
            .map_err(|_| "the token holds characters that no header may".to_owned())?;
        header.set_sensitive(true);
        Ok(Self::Token { text, header })
    }

    fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Token { text, .. } => vec![text.clone()],
            Self::Aws(keys) => [&keys.id, &keys.secret].into_iter().chain(&keys.session).cloned().collect(),
        }
    }
}

impl Credential {
    pub fn new(spec: CredentialSpec) -> Self {
        let fixed = match &spec {
            CredentialSpec::Aws { source: AwsSource::Fixed(keys), .. } => Some(aws::fixed(keys)),
            _ => None,
        };
        Self {
            tried: watch::Sender::new(fixed.is_some()),
            held: ArcSwapOption::from_pointee(fixed),
            before: ArcSwapOption::empty(),
            refused: Notify::new(),
            spec,
        }
    }

    /// Returns when there are credentials or it is known that there are none; at once but for the first calls, and after
    /// `FIRST_WAIT` at the latest.
    pub async fn first(&self) {
        if !*self.tried.borrow() {
            let mut tried = self.tried.subscribe();
            let _ = tokio::time::timeout(FIRST_WAIT, tried.wait_for(|it| *it)).await;
        }
    }

    /// What a call would show now.
    pub fn proof(&self) -> Proof {
        Proof(self.held.load_full())
    }

    /// Whether nothing was had since a call showed that.
    pub fn is_held(&self, proof: &Proof) -> bool {
        self.held.load().as_ref().map(Arc::as_ptr) == proof.0.as_ref().map(Arc::as_ptr)
    }

    /// The upstream refused what is held: it is renewed before its time.
    pub fn refused(&self) {
        self.refused.notify_one();
    }

    /// All that must not be repeated to anybody.
    pub fn secrets(&self) -> Vec<Secret> {
        let all = [self.held.load_full(), self.before.load_full()];
        all.iter().flatten().flat_map(|it| it.shown.secrets()).collect()
    }

    fn take(&self, fresh: Fresh) {
        self.before.store(self.held.load_full());
        self.held.store(Some(fresh.into()));
        // What was refused until now is gone: it asks for no further renewal.
        pin!(self.refused.notified()).as_mut().enable();
    }
}

/// What one call showed. Its refusal says nothing of what is had later.
#[derive(Default)]
pub struct Proof(Option<Arc<Fresh>>);

/// Shows `upstream` its credentials: adds the token to `request`, or signs it with `payload`, which is its body. The last
/// thing done to a request. Nothing is to be done for an upstream with keys.
pub fn show(upstream: &Upstream, request: &mut Request<Outgoing>, payload: &Payload) -> Result<(), Error> {
    let Some(credential) = &upstream.credential else { return Ok(()) };
    // The operator's own header wins, as it does over a key.
    if upstream.spec.headers.iter().any(|(name, _)| *name == header::AUTHORIZATION) {
        return Ok(());
    }
    let now = SystemTime::now();
    let held = credential.held.load();
    let Some(fresh) = held.as_ref().filter(|it| it.expires.is_none_or(|it| now < it)) else {
        return Err(unavailable(upstream));
    };
    match (&fresh.shown, &credential.spec) {
        (Shown::Token { header, .. }, _) => {
            request.headers_mut().insert(header::AUTHORIZATION, header.clone());
            Ok(())
        }
        (Shown::Aws(keys), CredentialSpec::Aws { region, .. }) => {
            sign::sign(keys, region, now, request, payload).map_err(|it| refused_to_sign(upstream, it))
        }
        (Shown::Aws(_), _) => Err(unavailable(upstream)),
    }
}

/// The operator's to mend, and over when a renewal succeeds: until then the client may try again.
fn unavailable(upstream: &Upstream) -> Error {
    let (id, source) = (&upstream.spec.id, upstream.credential.as_ref().map_or("", |it| it.spec.name()));
    let message = format!(
        "The gateway has no credentials for the upstream `{id}` now ({source}); its log says why under `credentials_failed`."
    );
    let mut error = Error::new(Kind::KeyRefused, Origin::Upstream(id.clone()), message);
    error.should_retry = Some(true);
    error
}

fn refused_to_sign(upstream: &Upstream, why: &'static str) -> Error {
    let message = format!("The request to the upstream `{}` cannot be signed: {why}.", upstream.spec.id);
    Error::new(Kind::KeyRefused, Origin::Upstream(upstream.spec.id.clone()), message)
}
