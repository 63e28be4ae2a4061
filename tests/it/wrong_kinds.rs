//! Answers in another kind than was asked for: whole for a stream, a stream for a whole.

use crate::support::Vendor;
use crate::support::tongue::{CLIENTS, Tongue, VENDORS, gateway};

use Tongue::{Anthropic, Chat, Gemini, Responses};

const UNOPENED: &str = ", circuit: { failures: 999 }";

/// Clients' SDKs find nothing to read in the other kind.
#[tokio::test]
async fn an_answer_of_the_wrong_kind_moves_on() {
    for vendor in VENDORS {
        for streams in [true, false] {
            let (a, b) = (Vendor::start().await, Vendor::start().await);
            a.otherwise(if streams { vendor.whole("from a") } else { vendor.stream(&["from a"]) });
            b.otherwise(if streams { Chat.stream(&["from b"]) } else { Chat.whole("from b") });
            let gateway = gateway(&[(vendor, &a), (Chat, &b)], UNOPENED, "").await;
            for (at, client) in CLIENTS.into_iter().enumerate() {
                let answer = client.call(&gateway, streams).await;
                let said = if streams { client.streamed(&answer) } else { client.said(&answer) };
                assert_eq!(said, "from b", "{client:?} at {vendor:?}: {}", answer.text());
                let line = gateway.call_line(at).await;
                assert_eq!(line["failed"][0]["error"], "vendor_failed", "{client:?} at {vendor:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_the_wrong_kind_is_refused_in_the_clients_words() {
    let a = Vendor::start().await;
    a.otherwise(Chat.whole("hi"));
    let gateway = gateway(&[(Chat, &a)], UNOPENED, "").await;
    for client in [Responses, Anthropic, Gemini] {
        let answer = client.call(&gateway, true).await;
        assert_eq!(answer.status, 502, "{client:?}");
        assert!(client.refusal(&answer).contains("where a stream was asked for"), "{}", answer.text());
    }
}
