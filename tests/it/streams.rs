//! A stream on its way through: every byte, at once, and nothing more or less than the client asked for.

use crate::support::{
    DONE, Gate, Gateway, Reply, Vendor, client::chat_body, delta, event, finish, over, role, usage,
};

/// What the grammar allows and vendors do: a byte order mark, all three line ends, comments, fields of every kind,
/// data over several lines, with and without the space, and characters of several bytes.
const ODD: &str = concat!(
    "\u{feff}: opened\r\n\r\n",
    "event: message\r\nid: 1\r\nretry: 10\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"grüß\"}}]}\r\n\r\n",
    "data:{\"choices\":[{\"delta\":{\"content\":\"no space\"}}]}\r\r",
    ": comment\rdata: {\"choices\":[{\"delta\":\rdata: {\"content\":\"two lines\"}}]}\r\r",
    "unknown: field\ndata: {\"choices\":[{\"delta\":{\"content\":\"😀\"}}]}\nid\n\n",
    ":\n\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\r\n",
    "data: [DONE]\n\n",
);

#[tokio::test]
async fn any_stream_in_any_chunks_arrives_byte_for_byte() {
    let a = Vendor::start().await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    for size in [1, 2, 3, 5, 11, 64, ODD.len()] {
        a.expect(Reply::stream(ODD.as_bytes().chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>()).end());
        let answer = gateway.stream("smart").await;
        assert_eq!(answer.text(), ODD, "in chunks of {size}");
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    }
}

/// The same while failover is still open: what is held back must come out whole.
#[tokio::test]
async fn what_was_held_for_failover_arrives_byte_for_byte_too() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    for size in [1, 7, ODD.len()] {
        let preamble = [&role(), ": thinking\r\n\r\n", ODD].concat();
        let chunks = preamble.as_bytes().chunks(size).map(<[u8]>::to_vec);
        a.expect(Reply::stream(chunks.collect::<Vec<_>>()).end());
        assert_eq!(gateway.stream("smart").await.text(), preamble, "in chunks of {size}");
    }
}

#[tokio::test]
async fn an_event_reaches_the_client_before_the_vendor_sends_the_next() {
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let mut reply = Reply::stream([role()]);
    for (number, gate) in gates.iter().enumerate() {
        reply = reply.piece(delta(&format!("word {number}"))).gate(gate);
    }
    let (a, b) = (Vendor::with([reply.piece(finish()).done()]).await, Vendor::start().await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    let mut stream = gateway.open_stream("smart").await;
    for (number, gate) in gates.iter().enumerate() {
        stream.read_until(&delta(&format!("word {number}"))).await;
        gate.open();
    }
    assert!(stream.rest().await.text().ends_with(DONE));
}

/// An event goes out when its blank line came, also when the next one has begun in the same packet.
#[tokio::test]
async fn a_whole_event_does_not_wait_for_the_rest_of_the_next() {
    let gate = Gate::new();
    let (first, second) = (delta("first"), delta("second"));
    let (begin, rest) = second.split_at(20);
    let reply = Reply::stream([format!("{first}{begin}")]).gate(&gate);
    let a = Vendor::with([reply.piece(rest.to_owned()).piece(finish()).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until(&first).await;
    assert_eq!(String::from_utf8_lossy(&stream.so_far), first, "half an event is of no use to anyone");
    gate.open();
    assert_eq!(stream.rest().await.text(), [first, second, finish(), DONE.to_owned()].concat());
}

/// What ends a stream is an event that is `[DONE]`; the same text inside content is content.
#[tokio::test]
async fn done_inside_content_is_content() {
    let events = [
        role(),
        delta("[DONE]"),
        delta("data: [DONE]\\n\\n"),
        event(r#"{"choices":[{"delta":{"content":"\"error\": {\"message\":\"[DONE]\"}"}}]}"#),
        event(r#"{"choices":[{"delta":{"content":"x"}}],"note":"[DONE]"}"#),
        delta("after"),
        finish(),
    ];
    let a = Vendor::with([Reply::stream(events.clone()).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    assert_eq!(gateway.stream("smart").await.text(), events.concat() + DONE);
    assert_eq!(gateway.call_line(0).await["ended"], "complete");
}

fn counted() -> [String; 4] {
    [role(), delta("hi"), finish(), usage(7, 2)]
}

async fn check_usage(gateway: &Gateway, call: usize) {
    let line = gateway.call_line(call).await;
    assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&7.into(), &2.into()), "{line}");
}

/// The operator needs to know what was used; the client that did not ask must not meet a chunk without choices, which
/// not every client can read.
#[tokio::test]
async fn usage_is_asked_for_and_the_extra_chunk_taken_out_again() {
    let a = Vendor::start().await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let stream = counted().concat() + DONE;
    for size in [1, 50, stream.len()] {
        let chunks = stream.as_bytes().chunks(size).map(<[u8]>::to_vec);
        a.expect(Reply::stream(chunks.collect::<Vec<_>>()).end());
        assert_eq!(gateway.stream("smart").await.text(), counted()[..3].concat() + DONE, "chunks of {size}");
    }
    for (call, seen) in a.seen().iter().enumerate() {
        assert_eq!(seen.json()["stream_options"], serde_json::json!({"include_usage": true}));
        let asked = chat_body("model-a", true);
        assert_eq!(seen.text(), asked.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1));
        check_usage(&gateway, call).await;
    }
    assert_eq!(gateway.metric("tollgate_tokens_total", &[("kind", "input")]).await, 21.0);
    assert_eq!(gateway.metric("tollgate_tokens_total", &[("kind", "output")]).await, 6.0);
}

#[tokio::test]
async fn a_client_that_asked_for_usage_gets_it() {
    let a = Vendor::with([Reply::stream(counted()).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let body = r#"{"model":"smart","stream":true,"stream_options":{ "include_usage" : true }}"#;
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!(answer.text(), counted().concat() + DONE);
    assert_eq!(a.request(0).await.text(), body.replace("smart", "model-a"));
    check_usage(&gateway, 0).await;
}

#[tokio::test]
async fn a_client_that_declined_usage_or_set_other_options_keeps_what_it_set() {
    let a = Vendor::start().await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    for options in
        [r#"{"include_usage":false,"include_obfuscation":false}"#, r#"{"include_obfuscation":false}"#]
    {
        a.expect(Reply::stream(counted()).done());
        let body = format!(r#"{{"model":"smart","stream":true,"stream_options":{options}}}"#);
        let answer = gateway.post("/v1/chat/completions", body).await;
        assert_eq!(answer.text(), counted()[..3].concat() + DONE);
        let sent = a.seen().last().unwrap().json();
        let expected = serde_json::json!({"include_obfuscation": false, "include_usage": true});
        assert_eq!(sent["stream_options"], expected);
    }
    // Null is how some clients say nothing.
    a.expect(Reply::stream(counted()).done());
    let body = r#"{"model":"smart","stream":true,"stream_options":null}"#;
    assert_eq!(gateway.post("/v1/chat/completions", body).await.text(), counted()[..3].concat() + DONE);
}

#[tokio::test]
async fn usage_is_not_asked_for_where_the_operator_or_the_vendor_does_not_want_it() {
    let a = Vendor::with([Reply::stream(counted()).done(), Reply::chat("whole")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "usage: false\n")).await;
    assert_eq!(gateway.stream("smart").await.text(), counted().concat() + DONE);
    assert_eq!(a.request(0).await.text(), chat_body("model-a", true));
    gateway.chat("smart").await;
    assert_eq!(a.request(1).await.text(), chat_body("model-a", false));
    let b = Vendor::with([Reply::stream(counted()).done()]).await;
    let yaml = format!(
        "upstreams:\n  b: {{ vendor: openai-compatible, base_url: \"{}\", stream_usage: false }}\n",
        b.url()
    );
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(gateway.stream("b/model-b").await.text(), counted().concat() + DONE);
    assert_eq!(b.request(0).await.text(), chat_body("model-b", true));
}

/// DeepSeek puts usage on the chunk that finishes, Groq beside it: such a chunk is content and stays.
#[tokio::test]
async fn usage_on_a_chunk_that_says_something_else_too_is_read_and_kept() {
    let last = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"#;
    for used in [
        r#""usage":{"prompt_tokens":7,"completion_tokens":2}}"#,
        r#""x_groq":{"usage":{"prompt_tokens":7,"completion_tokens":2}}}"#,
    ] {
        let events = [role(), delta("hi"), event(&format!("{last}{used}"))];
        let a = Vendor::with([Reply::stream(events.clone()).done()]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
        assert_eq!(gateway.stream("smart").await.text(), events.concat() + DONE);
        check_usage(&gateway, 0).await;
    }
}

/// A vendor that forgets the last blank line: the injected chunk went out with the rest.
#[tokio::test]
async fn the_extra_chunk_is_taken_out_even_where_the_stream_ends_in_the_middle_of_it() {
    let unended = usage(7, 2).trim_end().to_owned();
    let a = Vendor::with([Reply::stream([delta("hi"), finish(), unended]).end()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    assert_eq!(gateway.stream("smart").await.text(), delta("hi") + &finish());
    check_usage(&gateway, 0).await;
}

/// A client that reads nothing must hold the vendor up, not fill the gateway's memory.
#[tokio::test]
async fn a_slow_reader_holds_the_vendor_up() {
    const FLOOD: usize = 96 << 20;
    let piece = delta(&"x".repeat(16_000));
    let a = Vendor::with([Reply::stream([delta("begin")]).flood(&piece, FLOOD).piece(finish()).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until("begin").await;
    let before = gateway.metric("process_resident_memory_bytes", &[]).await;
    let seen = a.wait_until("the vendor's standstill", |it| it[0].stopped_at.is_some()).await;
    // What is out lies in the buffers of four sockets, which the system bounds.
    assert!(seen[0].stopped_at.unwrap() < FLOOD / 2, "{:?}", seen[0].stopped_at);
    let grown = gateway.metric("process_resident_memory_bytes", &[]).await - before;
    assert!(grown < f64::from(8 << 20), "the gateway grew by {grown} bytes");
    let answer = stream.rest().await;
    assert!(answer.body.len() > FLOOD / 2 && answer.body.ends_with(DONE.as_bytes()));
}
