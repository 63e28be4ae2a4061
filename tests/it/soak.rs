//! Thousands of turns from all sides while everything is killed, frozen and restarted: whatever a client saw the end of is in
//! its session once, and in the order in which that client said it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;

use crate::support::client::request;
use crate::support::{Gateway, RedisServer, until};

const SESSIONS: usize = 24;
/// Each session is spoken in by so many at once.
const SPEAKERS: usize = 2;
const TURNS: usize = 50;

/// A bound on a hang, of a test that makes thousands of calls.
const PATIENCE: Duration = Duration::from_secs(240);

/// How many turns are done.
type Done = watch::Sender<usize>;

/// What a speaker said and saw answered.
#[derive(Default)]
struct Said {
    /// In its order.
    stored: Vec<String>,
    /// Was told to wait on a gateway's disk: it stands behind what any gateway stores before it gets there.
    spooled: Vec<String>,
}

/// The gateways as they come and go.
type Gateways = Arc<Vec<RwLock<Option<Gateway>>>>;

/// Says one thing; what became of it, if the end of the answer was seen.
async fn say(to: std::net::SocketAddr, session: &str, text: &str, stream: bool) -> Option<String> {
    let body = format!(
        r#"{{"model":"sim/sim-small","stream":{stream},"max_tokens":3,"messages":[{{"role":"user","content":"{text}"}}]}}"#
    );
    let headers = [("content-type", "application/json"), ("x-session-id", session)];
    let request: Request<Full<Bytes>> = request(to, Method::POST, "/v1/chat/completions", &headers, body);
    let connection = TcpStream::connect(to).await.ok()?;
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.ok()?;
    let driver = tokio::spawn(driver);
    let answer = sender.send_request(request).await.ok()?;
    let word = answer
        .headers()
        .get_all("x-tollgate-session")
        .iter()
        .next_back()
        .map(|it| it.to_str().unwrap().to_owned());
    let ok = answer.status() == 200;
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    driver.abort();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let comment = text.split_once(": session ").and_then(|it| it.1.lines().next()).map(str::to_owned);
    let ended = !stream || text.ends_with("data: [DONE]\n\n");
    (ok && ended).then(|| word.or(comment).unwrap_or_else(|| "stored".into()))
}

/// Says `TURNS` things, each until its answer's end was seen; gateways take turns.
fn speak(gateways: Gateways, session: usize, speaker: usize, done: Arc<Done>) -> JoinHandle<Said> {
    tokio::spawn(async move {
        let mut said = Said::default();
        let mut tries = 0;
        while said.stored.len() + said.spooled.len() < TURNS {
            tries += 1;
            let text = format!("{session}-{speaker}-{tries}");
            let gateway = gateways[(session + speaker + tries) % gateways.len()].read().await;
            let Some(at) = gateway.as_ref().map(|it| it.calls) else { continue };
            match say(at, &format!("s{session}"), &text, tries % 2 == 0).await.as_deref() {
                Some("stored") => said.stored.push(text),
                Some("spooled") => said.spooled.push(text),
                _ => {
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            done.send_modify(|it| *it += 1);
        }
        said
    })
}

/// Kills a gateway with -9 and starts it on the same files, while the others go on.
async fn crash(gateways: &Gateways, index: usize) {
    // Calls under way hold a lock for reading: the crash must come in the middle of them.
    let pid = gateways[index].read().await.as_ref().unwrap().pid();
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    let mut place = gateways[index].write().await;
    let gateway = place.take().unwrap();
    *place = Some(gateway.crash_and_restart().await);
}

/// What the sessions hold, as the gateway at `index` tells it.
async fn found(gateways: &Gateways, index: usize, session: usize) -> Vec<String> {
    let gateway = gateways[index].read().await;
    let gateway = gateway.as_ref().unwrap();
    let (mut texts, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/sessions/s{session}/messages?limit=100&order=asc{after}");
        let answer = gateway.get(&path).await;
        if answer.status == 503 {
            // The breaker is open until its next trial.
            tokio::task::yield_now().await;
            continue;
        }
        let page = answer.json();
        for entry in page["data"].as_array().unwrap() {
            let message = &entry["message"];
            let of_user = message["role"] == "user";
            texts.extend(of_user.then(|| message["content"].as_str().unwrap().to_owned()));
        }
        if page["has_more"] != true {
            return texts;
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
}

/// Lets everybody speak while `trouble` is made.
async fn spoken(gateways: &Gateways, trouble: impl AsyncFnOnce(&Done)) -> BTreeMap<usize, Vec<Said>> {
    let done = Arc::new(Done::new(0));
    let speakers: Vec<_> = (0..SESSIONS * SPEAKERS)
        .map(|it| {
            (it / SPEAKERS, speak(Arc::clone(gateways), it / SPEAKERS, it % SPEAKERS, Arc::clone(&done)))
        })
        .collect();
    trouble(&done).await;
    let mut spoken = BTreeMap::<usize, Vec<Said>>::new();
    for (session, speaker) in speakers {
        let said = tokio::time::timeout(PATIENCE, speaker).await.expect("it ends").unwrap();
        spoken.entry(session).or_default().push(said);
    }
    spoken
}

/// Every acknowledged turn once, and each speaker's in its order. A turn whose end nobody saw may be there or not, once.
async fn check(gateways: &Gateways, spoken: &BTreeMap<usize, Vec<Said>>) {
    for (session, speakers) in spoken {
        let found = found(gateways, session % gateways.len(), *session).await;
        let mut once = found.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), found.len(), "session {session} holds a turn twice");
        for said in speakers {
            let own: Vec<_> = found.iter().filter(|it| said.stored.contains(it)).cloned().collect();
            assert_eq!(own, said.stored, "session {session}");
            let lost: Vec<_> = said.spooled.iter().filter(|it| !found.contains(it)).collect();
            assert!(lost.is_empty(), "session {session} lost {lost:?}");
        }
    }
}

async fn progress(done: &Done, percent: usize) {
    let wanted = SESSIONS * SPEAKERS * TURNS * percent / 100;
    let mut seen = done.subscribe();
    let waiting = tokio::time::timeout(PATIENCE, seen.wait_for(|it| *it >= wanted)).await;
    waiting.expect("the speakers get on").expect("somebody speaks");
}

fn gateways(all: Vec<Gateway>) -> Gateways {
    Arc::new(all.into_iter().map(|it| RwLock::new(Some(it))).collect())
}

const QUICK: &str = "sim: { first_token_ms: 0, tokens_per_s: 0 }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_a_redis_that_dies_and_freezes_lose_no_turn() {
    let lasting = |_: u16, _: &std::path::Path| {
        "--appendonly yes --appendfsync always".split(' ').map(Into::into).collect()
    };
    let mut redis = RedisServer::start_with(lasting).await;
    let yaml = format!(
        "{QUICK}sessions: {{ store: \"{}\", store_failures_max: 3, store_trial_ms: 50 }}",
        redis.url()
    );
    let both = gateways(vec![Gateway::start(&yaml).await, Gateway::start(&yaml).await]);
    let spoken = spoken(&both, async |done| {
        progress(done, 10).await;
        redis.kill().await;
        redis.start_again().await;
        progress(done, 25).await;
        redis.signal("STOP");
        let stopped = both[0].read().await.as_ref().unwrap().calls;
        assert_eq!(say(stopped, "s0", "nobody remembers", false).await, None);
        redis.signal("CONT");
        progress(done, 40).await;
        crash(&both, 0).await;
        progress(done, 60).await;
        redis.kill().await;
        crash(&both, 1).await;
        redis.start_again().await;
    })
    .await;
    // What waits on a disk is written when its gateway finds the store again.
    for gateway in both.iter() {
        let gateway = gateway.read().await;
        let gateway = gateway.as_ref().unwrap();
        until("an empty spool", || async {
            gateway.metric("tollgate_session_spool_turns", &[]).await == 0.0
        })
        .await;
    }
    check(&both, &spoken).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_crashes_again_and_again_loses_no_turn_of_its_own_store() {
    let one = gateways(vec![Gateway::start(QUICK).await]);
    let spoken = spoken(&one, async |done| {
        for percent in [10, 30, 50, 70] {
            progress(done, percent).await;
            crash(&one, 0).await;
        }
    })
    .await;
    check(&one, &spoken).await;
}
