//! Who may judge an upstream: a call that began before its circuit opened knows nothing new. Neither its success nor its
//! failure changes what the trial is there to find out.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::support::{Answer, Gate, Gateway, Reply, Vendor, delta, finish, over, role, until};

const DOWN: fn() -> Reply = || Reply::status(503, "busy");

async fn gateway(a: &Vendor, open_ms: u64) -> Arc<Gateway> {
    let more = format!("circuit: {{ failures: 1, open_ms: {open_ms}, open_ms_max: 600000 }}\n");
    Arc::new(Gateway::start(&over(&[("a", &a.url())], &more)).await)
}

/// A call that is at the vendor, behind `gate`, before anything fails.
async fn early(gateway: &Arc<Gateway>, a: &Vendor, gate: &Gate, reply: Reply) -> JoinHandle<Answer> {
    a.expect(reply.gate_first(gate));
    let gateway = Arc::clone(gateway);
    let call = tokio::spawn(async move { gateway.chat("smart").await });
    gate.reached().await;
    call
}

async fn circuit(gateway: &Gateway) -> String {
    gateway.upstream("a").await["circuit"].as_str().unwrap().to_owned()
}

fn events(gateway: &Gateway, name: &str) -> usize {
    gateway.log_lines().iter().filter(|it| it["event"] == name).count()
}

/// The answer was on its way before the vendor fell over, and shows nothing of how it is now.
#[tokio::test]
async fn a_success_from_before_does_not_close_the_circuit() {
    let a = Vendor::start().await;
    let gateway = gateway(&a, 600_000).await;
    let gate = Gate::new();
    let call = early(&gateway, &a, &gate, Reply::chat("from before")).await;
    a.expect(DOWN());
    gateway.chat("smart").await;
    assert_eq!(circuit(&gateway).await, "open");
    gate.open();
    assert_eq!(call.await.unwrap().content(), "from before");
    assert_eq!(circuit(&gateway).await, "open");
    assert_eq!(events(&gateway, "circuit_closed"), 0);
}

#[tokio::test]
async fn a_stream_from_before_that_ends_well_does_not_close_the_circuit() {
    let (a, gate) = (Vendor::start().await, Gate::new());
    let gateway = gateway(&a, 600_000).await;
    a.expect(
        Reply::stream([role(), delta("from ")]).gate(&gate).piece(delta("before")).piece(finish()).done(),
    );
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until("from ").await;
    a.expect(DOWN());
    gateway.chat("smart").await;
    gate.open();
    assert!(stream.rest().await.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(gateway.call_line(1).await["ended"], "complete");
    assert_eq!(circuit(&gateway).await, "open");
    assert_eq!(events(&gateway, "circuit_closed"), 0);
}

/// While another call is on trial only that one's end counts: a late success must not let everybody in, and a late
/// failure must not send the vendor away again.
#[tokio::test]
async fn what_began_before_does_not_decide_for_the_trial() {
    let busy = || Reply::status(500, "from before");
    for (late, trial, state) in
        [(busy(), Reply::chat("back"), "closed"), (Reply::chat("from before"), DOWN(), "open")]
    {
        let a = Vendor::start().await;
        let gateway = gateway(&a, 50).await;
        let (gate, on_trial) = (Gate::new(), Gate::new());
        let call = early(&gateway, &a, &gate, late).await;
        a.expect(DOWN());
        gateway.chat("smart").await;
        until("a half-open circuit", async || circuit(&gateway).await == "half_open").await;
        let trial = early(&gateway, &a, &on_trial, trial).await;
        gate.open();
        call.await.unwrap();
        assert_eq!(circuit(&gateway).await, "half_open", "the trial is not over");
        gateway.event_line("circuit_open").await;
        assert_eq!((events(&gateway, "circuit_open"), events(&gateway, "circuit_closed")), (1, 0));
        on_trial.open();
        trial.await.unwrap();
        let wanted = if state == "closed" { ("circuit_closed", 1) } else { ("circuit_open", 2) };
        gateway.event_line(wanted.0).await;
        until("the trial's verdict", async || events(&gateway, wanted.0) == wanted.1).await;
    }
}

/// Several calls fail together when a vendor falls over; the ones behind the first must not make the wait longer.
#[tokio::test]
async fn failures_that_come_in_together_open_the_circuit_once() {
    let a = Vendor::start().await;
    let gateway = gateway(&a, 600_000).await;
    let gates: Vec<Gate> = (0..5).map(|_| Gate::new()).collect();
    let mut calls = Vec::new();
    for gate in &gates {
        calls.push(early(&gateway, &a, gate, DOWN()).await);
    }
    gates.iter().for_each(Gate::open);
    for call in calls {
        assert_eq!(call.await.unwrap().status, 503);
    }
    gateway.event_line("circuit_open").await;
    assert_eq!(events(&gateway, "circuit_open"), 1);
}
