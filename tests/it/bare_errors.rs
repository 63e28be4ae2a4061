//! Errors without an envelope inside a 200 or a stream: objects that have a sentence or a code where choices should be.

use crate::support::tongue::{CLIENTS, Tongue, gateway};
use crate::support::{DONE, Reply, Vendor, event};

use Tongue::Chat;

/// SiliconFlow's, Cerebras', FastAPI's, old vLLM's and MiniMax'.
const BARE: [&str; 5] = [
    r#"{"code":50505,"message":"we are full","data":null}"#,
    r#"{"message":"we are full","type":"server_error","param":"queue","code":"queue_exceeded"}"#,
    r#"{"detail":"we are full"}"#,
    r#"{"object":"error","message":"we are full","type":"InternalServerError","param":null,"code":500}"#,
    r#"{"id":"m-1","choices":null,"base_resp":{"status_code":1000,"status_msg":"we are full"}}"#,
];

/// Clients were told an empty success, or the error under a 200, though another target was left.
#[tokio::test]
async fn a_bare_error_is_an_error_before_content() {
    for said in BARE {
        for stream in [event(said), format!("event: error\n{}", event(said))] {
            let (a, b) = (Vendor::start().await, Vendor::start().await);
            a.otherwise(Reply::stream([stream]).done());
            b.otherwise(Chat.stream(&["from b"]));
            let gateway = gateway(&[(Chat, &a), (Chat, &b)], ", circuit: { failures: 99 }", "").await;
            for client in CLIENTS {
                let answer = client.call(&gateway, true).await;
                assert_eq!(client.streamed(&answer), "from b", "{client:?} {said}");
                assert!(client.is_complete(&answer), "{client:?} {said}");
            }
            assert_eq!(gateway.call_line(0).await["failed"][0]["error"], "vendor_failed");
        }
    }
}

#[tokio::test]
async fn a_bare_error_is_an_error_in_place_of_a_whole_answer() {
    for said in BARE {
        let (a, b) = (Vendor::start().await, Vendor::start().await);
        a.otherwise(Reply::json(200, said));
        b.otherwise(Chat.whole("from b"));
        let gateway = gateway(&[(Chat, &a), (Chat, &b)], ", circuit: { failures: 99 }", "").await;
        for client in CLIENTS {
            let answer = client.call(&gateway, false).await;
            assert_eq!(client.said(&answer), "from b", "{client:?} {said}");
        }
    }
}

#[tokio::test]
async fn a_bare_error_behind_content_ends_the_answer_as_failed() {
    for said in BARE {
        let a = Vendor::start().await;
        a.otherwise(Chat.begun(&["par"]).pieces([event(said), DONE.to_owned()]).end());
        let gateway = gateway(&[(Chat, &a)], ", circuit: { failures: 99 }", "").await;
        for client in CLIENTS {
            let answer = client.call(&gateway, true).await;
            assert_eq!(client.streamed(&answer), "par", "{client:?} {said}");
            assert!(!client.is_complete(&answer), "{client:?} {said}: {}", answer.text());
            assert_eq!(client.failure(&answer).as_deref(), Some("we are full"), "{client:?} {said}");
        }
        assert_eq!(gateway.call_line(0).await["error"], "vendor_failed");
    }
}
