//! Calls of tools whose arguments a vendor cuts.

use serde_json::json;

use crate::support::tongue::{Tongue, gateway};
use crate::support::{DONE, Vendor, event};

use Tongue::{Anthropic, Chat, Gemini, Responses};

const UNOPENED: &str = ", circuit: { failures: 999 }";

/// Vendors may leave out how an answer ends; but a call whose arguments are cut is none that a client could make.
#[tokio::test]
async fn a_call_that_done_cuts_is_told_as_broken_off() {
    for (arguments, is_whole) in [("{\"city\":\"Par", false), ("{\"city\":\"Paris\"}", true)] {
        let function = json!({"name": "look_up", "arguments": arguments});
        let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
        let chunk = json!({"id": "s-1", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
        let a = Vendor::start().await;
        a.otherwise(Chat.begun(&[]).pieces([event(&chunk.to_string()), DONE.to_owned()]).end());
        let gateway = gateway(&[(Chat, &a)], UNOPENED, "").await;
        for client in [Responses, Anthropic, Gemini] {
            let answer = client.call(&gateway, true).await;
            let cut = "The upstream's answer ended before it was complete.";
            let failure = (!is_whole).then_some(cut);
            assert_eq!(client.failure(&answer).as_deref(), failure, "{client:?}: {}", answer.text());
            assert_eq!(client.is_complete(&answer), is_whole, "{client:?}: {}", answer.text());
        }
    }
}
