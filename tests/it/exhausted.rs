//! What the client is told when no target could serve it: the failure that says most, in OpenAI's form, without secrets.

use crate::support::{Answer, Gateway, Refusing, Reply, Vendor, event, over};

async fn answer_of(first: Reply, second: Reply, stream: bool) -> Answer {
    let (a, b) = (Vendor::with([first]).await, Vendor::with([second]).await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    let answer = match stream {
        true => gateway.stream("smart").await,
        false => gateway.chat("smart").await,
    };
    assert!(
        answer.status.is_client_error() || answer.status.is_server_error(),
        "{}: {}",
        answer.status,
        answer.text()
    );
    assert_eq!(answer.header("x-tollgate-attempts"), Some("2"));
    assert_eq!(gateway.call_line(0).await["ended"], "failed");
    answer
}

/// The SDK retries by itself after `retry-after`: a connection error that came later must not hide it.
#[tokio::test]
async fn a_rate_limit_with_its_wait_says_more_than_a_refused_connection() {
    for limited_first in [true, false] {
        let limited = Vendor::with([Reply::status(429, "slow down").header("retry-after", "7")]).await;
        let refusing = Refusing::start();
        let mut upstreams = [("a", limited.url()), ("b", refusing.url())];
        if !limited_first {
            upstreams.reverse();
        }
        let upstreams = upstreams.each_ref().map(|(name, url)| (*name, url.as_str()));
        let gateway = Gateway::start(&over(&upstreams, "")).await;
        let answer = gateway.chat("smart").await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(answer.error()["message"], "slow down");
        assert_eq!(answer.error()["code"], "vendor_code");
        assert_eq!(answer.header("x-should-retry"), None);
    }
}

#[tokio::test]
async fn a_vendors_own_words_say_more_than_a_broken_connection() {
    let answer = answer_of(Reply::status(503, "we are down"), Reply::reset_before_head(), false).await;
    assert_eq!((answer.status.as_u16(), answer.error()["message"].as_str()), (503, Some("we are down")));
    assert_eq!(answer.error()["type"], "vendor_type");
}

#[tokio::test]
async fn connections_that_break_are_a_502_in_openai_form() {
    let answer = answer_of(Reply::reset_before_head(), Reply::reset_before_head(), true).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let error = answer.error();
    assert_eq!((&error["type"], &error["code"]), (&"server_error".into(), &"upstream_reset".into()));
    assert!(error.as_object().unwrap().contains_key("param"));
}

/// Nothing was shown yet when the last target's stream began with an error: the client must get a status it can act
/// on, not `200` and an error in the stream.
#[tokio::test]
async fn an_error_as_the_first_event_of_the_last_target_is_an_error_status() {
    let said = event(r#"{"error":{"message":"overloaded","type":"t","code":"busy"}}"#);
    answer_of(Reply::status(503, "busy"), Reply::stream([said.clone()]).done(), true).await;
    let limited = Reply::status(429, "slow down").header("retry-after", "7");
    let answer = answer_of(limited, Reply::stream([said]).done(), true).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("7")));
}

#[tokio::test]
async fn a_wait_is_read_in_every_spelling_and_garbage_is_no_wait() {
    for (name, value, seconds) in [
        ("retry-after", "2", Some("2")),
        ("retry-after", "1.2", Some("2")),
        ("retry-after-ms", "1500", Some("2")),
        ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("retry-after", "soon", None),
        ("retry-after", "-5", None),
        ("retry-after", "600", Some("600")),
    ] {
        let a = Vendor::with([Reply::status(429, "slow down").header(name, value)]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
        let answer = gateway.chat("smart").await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, seconds), "{name}: {value}");
    }
}

/// Vendors quote keys and proxies quote addresses in their errors; neither is the client's to know.
#[tokio::test]
async fn keys_and_addresses_in_a_vendors_error_do_not_reach_the_client() {
    let a = Vendor::start().await;
    let address = a.address.to_string();
    let words = format!("key sk-planted-0001 was refused by {address}");
    for said in [
        format!(r#"{{"error":{{"message":"{words}","type":"t","param":null,"code":"c"}}}}"#),
        format!(r#"{{"error":{{"message":"no","type":"t","param":"{words}","code":"c"}}}}"#),
        format!(r#"{{"error":{{"message":"no","type":"t","param":null,"code":"{words}"}}}}"#),
        format!(r#"{{"error":{{"message":"no","type":"{words}","param":null,"code":"c"}}}}"#),
        format!(r#"{{"error":"{words}"}}"#),
    ] {
        let yaml = format!(
            "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", key: sk-planted-0001 }}\n",
            a.url()
        );
        let gateway = Gateway::start(&yaml).await;
        for status in [400, 500] {
            a.expect(Reply::json(status, said.clone()));
            let answer = gateway.chat("a/m").await;
            let text = answer.text();
            assert_eq!(answer.status, status);
            assert!(!text.contains("sk-planted") && !text.contains(&address), "{text}");
        }
        let log: String = gateway.log_lines().iter().map(ToString::to_string).collect();
        assert!(!log.contains("sk-planted"), "{log}");
    }
}

#[tokio::test]
async fn a_retry_is_called_useless_only_where_it_is() {
    let refused = || Reply::status(401, "bad key");
    let answer = answer_of(refused(), refused(), false).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (502, Some("false")));
    let answer = answer_of(refused(), Reply::reset_before_head(), false).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (502, None));
    let answer = answer_of(Reply::status(503, "busy"), refused(), false).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (503, None));
    let missing = || Reply::status(404, "no such model");
    let answer = answer_of(missing(), missing(), false).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (404, Some("false")));
}
