//! Which failures move a call on to the next target, and what the client sees of it: nothing.

use crate::support::{Gateway, Reply, Vendor};

#[tokio::test]
async fn a_vendor_answers() {
    let a = Vendor::with([Reply::chat("from a")]).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\" }}\n",
        a.url()
    ))
    .await;
    let answer = gateway.chat("a/m").await;
    assert_eq!(answer.content(), "from a");
    assert_eq!(gateway.call_line(0).await["ended"], "complete");
    assert_eq!(gateway.metric("tollgate_requests_total", &[("upstream", "a")]).await, 1.0);
}
