//! What vendors keep under the gateway's one key, asked for by several clients: an id passes only for the client for whom the
//! gateway forwarded the answer that made it.

use http::Method;
use serde_json::{Value, json};

use crate::support::spoken::{NATIVE, asks, event, object, say, stream, whole, words, yaml};
use crate::support::talk::MEMORY;
use crate::support::{Gateway, Keyed, Reply, Vendor, until};

const CLIENTS: &str = "clients:\n  shop: { key: shop-key, without_model: true }\n  desk: { key: desk-key, without_model: true }\n";
/// The vendor keeps responses, the gateway only remembers whose they are.
const VENDORS: &str = "sessions: { store: memory, completions: vendor }\n";

async fn over(vendor: &Vendor, more: &str) -> Gateway {
    Gateway::start(&yaml(&[("n", NATIVE, vendor)], &format!("{CLIENTS}default_upstream: n\n{more}"))).await
}

fn shop(gateway: &Gateway) -> Keyed<'_> {
    Keyed { gateway, key: "shop-key" }
}

fn desk(gateway: &Gateway) -> Keyed<'_> {
    Keyed { gateway, key: "desk-key" }
}

/// Every way to ask for the response `id`, by path and by body.
async fn is_refused(client: &Keyed<'_>, id: &str) {
    for (method, below) in [
        (Method::GET, ""),
        (Method::HEAD, ""),
        (Method::DELETE, ""),
        (Method::POST, "/cancel"),
        (Method::GET, "/input_items"),
        (Method::GET, "/anything/new"),
        (Method::GET, "/"),
    ] {
        let path = format!("/v1/responses/{id}{below}");
        let answer = client.ask(method.clone(), &path, &Value::Null).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        if method != Method::HEAD {
            let error = answer.error();
            assert_eq!(error["type"], "invalid_request_error");
            assert_eq!(error["code"], "response_not_found");
        }
    }
    for path in ["/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"] {
        let refused =
            client.refused(Method::POST, path, asks("2", json!({"previous_response_id": id}))).await;
        assert_eq!(refused, (400, "previous_response_not_found".into(), "previous_response_id".into()));
    }
}

#[tokio::test]
async fn a_response_that_its_vendor_alone_keeps_is_its_callers_own() {
    for more in [json!({}), json!({"background": true}), json!({"stream": true})] {
        let reply = match more["stream"] == true {
            false => whole("resp_a", "secret"),
            true => Reply::stream([
                event("response.created", json!({"response": {"id": "resp_a", "object": "response"}})),
                event("response.output_text.delta", json!({"delta": "secret"})),
                event("response.completed", json!({"response": object("resp_a", "secret")})),
            ])
            .end(),
        };
        let vendor = Vendor::with([reply]).await;
        let gateway = over(&vendor, VENDORS).await;
        match more["stream"] == true {
            false => _ = say(&shop(&gateway), "1", more).await,
            true => _ = stream(&shop(&gateway), "1", json!({})).await.rest().await,
        }
        is_refused(&desk(&gateway), "resp_a").await;
        is_refused(&shop(&gateway), "resp_other").await;
        assert_eq!(vendor.calls(), 1, "nobody was asked");
        vendor.expect(whole("resp_a", "secret"));
        until("whose it is was written", async || {
            shop(&gateway).ask(Method::GET, "/v1/responses/resp_a", &Value::Null).await.status == 200
        })
        .await;
        vendor.expect(whole("resp_b", "b"));
        let second = say(&shop(&gateway), "2", json!({"previous_response_id": "resp_a"})).await;
        assert_eq!(words(&second), "b");
    }
}

/// Vendors read paths more kindly than they are written.
#[tokio::test]
async fn another_spelling_of_a_path_does_not_open_what_is_anothers() {
    let vendor = Vendor::with([whole("resp_a", "secret")]).await;
    let gateway = over(&vendor, VENDORS).await;
    say(&shop(&gateway), "1", json!({})).await;
    for (path, status) in [
        ("/v1//responses/resp_a", 400),
        ("//v1/responses/resp_a", 404),
        ("/v1/responses//resp_a", 400),
        ("/v1/%72esponses/resp_a", 400),
        ("/v1/responses%2fresp_a", 400),
        ("/v1/%2fresponses/resp_a", 400),
        ("/v1/responses;a=1/resp_a", 400),
        ("/v1/v1/responses/resp_a", 400),
        ("/v1/x/../responses/resp_a", 400),
        ("/v1/Responses/resp_a", 404),
        ("/V1/responses/resp_a", 404),
        ("/v1/openai/v1/responses/resp_a", 404),
        ("/v1//conversations/conv_a/items", 400),
        ("/v1/CONVERSATIONS/conv_a/items", 404),
    ] {
        for (method, body) in [
            (Method::GET, Value::Null),
            (Method::DELETE, Value::Null),
            (Method::POST, asks("2", json!({"previous_response_id": "resp_a"}))),
        ] {
            let answer = desk(&gateway).ask(method.clone(), path, &body).await;
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(answer.error()["type"], "invalid_request_error", "{method} {path}");
        }
    }
    assert_eq!(vendor.calls(), 1, "nobody was asked");
    let theirs = [("x-api-key", "desk-key"), ("anthropic-version", "2023-06-01")];
    let answer = gateway.call(Method::GET, "/v1//messages/batches", &theirs, "").await;
    assert_eq!((answer.status.as_u16(), answer.json()["type"].clone()), (400, json!("error")));
}

/// What the gateway keeps itself is as it was; and what is not to be kept there is claimed while it goes on.
#[tokio::test]
async fn an_id_passes_where_the_gateway_keeps_responses_too() {
    let vendor = Vendor::with([whole("resp_a", "a"), whole("resp_b", "b")]).await;
    let gateway = over(&vendor, MEMORY).await;
    say(&shop(&gateway), "1", json!({})).await;
    is_refused(&desk(&gateway), "resp_a").await;
    // Beside the gateway's store.
    let headers =
        [("api-key", "shop-key"), ("content-type", "application/json"), ("x-tollgate-upstream", "n")];
    let body = json!({"model": "m", "input": "hi"}).to_string();
    gateway.call(Method::POST, "/v1/responses", &headers, body).await;
    is_refused(&desk(&gateway), "resp_b").await;
    let theirs = [("api-key", "desk-key"), ("x-tollgate-upstream", "n")];
    assert_eq!(gateway.call(Method::GET, "/v1/responses/resp_a", &theirs, "").await.status, 404);
    assert_eq!(gateway.call(Method::GET, "/v1/responses", &theirs, "").await.status, 404);
    assert_eq!(vendor.calls(), 2, "nobody was asked");
    vendor.expect(whole("resp_b", "b"));
    assert_eq!(gateway.call(Method::GET, "/v1/responses/resp_b", &headers[..1], "").await.status, 200);
    let done = json!({"id": "resp_b", "object": "response"});
    vendor.expect(
        Reply::stream([
            event("response.created", json!({"response": done})),
            event("response.output_text.delta", json!({"delta": "b"})),
        ])
        .then_cut(),
    );
    stream(&shop(&gateway), "1", json!({})).await.rest().await;
    vendor.expect(whole("resp_b", "b"));
    shop(&gateway).get("/v1/responses/resp_b").await;
}

#[tokio::test]
async fn a_conversation_that_a_vendor_began_is_its_callers_own() {
    let conversation = json!({"id": "conv_a", "object": "conversation", "created_at": 7, "metadata": {}});
    let vendor = Vendor::with([Reply::json(200, conversation.to_string())]).await;
    let gateway = over(&vendor, MEMORY).await;
    let at = |key| [("api-key", key), ("content-type", "application/json"), ("x-tollgate-upstream", "n")];
    let made = gateway.call(Method::POST, "/v1/conversations", &at("shop-key"), "{}").await;
    assert_eq!((made.status.as_u16(), made.json()["id"].clone()), (200, json!("conv_a")));
    for (method, below) in [
        (Method::GET, "/conv_a"),
        (Method::POST, "/conv_a"),
        (Method::DELETE, "/conv_a"),
        (Method::GET, "/conv_a/items"),
        (Method::POST, "/conv_a/items"),
        (Method::GET, ""),
    ] {
        let path = format!("/v1/conversations{below}");
        let answer = gateway.call(method.clone(), &path, &at("desk-key"), "{}").await;
        assert_eq!(answer.status, 404, "{method} {path}");
    }
    for named in [json!("conv_a"), json!({"id": "conv_a"})] {
        let body = asks("2", json!({"conversation": named}));
        assert_eq!(desk(&gateway).refused(Method::POST, "/v1/responses", body).await.0, 404);
    }
    assert_eq!(vendor.calls(), 1, "nobody was asked");
    vendor.expect(Reply::json(200, conversation.to_string()));
    assert_eq!(gateway.call(Method::GET, "/v1/conversations/conv_a", &at("shop-key"), "").await.status, 200);
    vendor.expect(whole("resp_b", "b"));
    assert_eq!(words(&say(&shop(&gateway), "2", json!({"conversation": "conv_a"})).await), "b");
}

/// Gateway and vendor could read different ones.
#[tokio::test]
async fn a_body_that_names_two_is_refused() {
    let vendor = Vendor::start().await;
    let gateway = over(&vendor, VENDORS).await;
    let headers = [("api-key", "desk-key"), ("content-type", "application/json")];
    for more in [
        r#""previous_response_id":"resp_a","previous_response_id":null"#,
        r#""previous_response_id":null,"previous\u005fresponse_id":"resp_a""#,
        r#""conversation":{"id":"conv_a","id":"conv_b"}"#,
    ] {
        for path in ["/v1/responses", "/v1/responses/input_tokens"] {
            let body = format!(r#"{{"model":"smart","input":"hi",{more}}}"#);
            assert_eq!(gateway.call(Method::POST, path, &headers, body).await.status, 400, "{path} {more}");
        }
    }
    let headers = [("api-key", "desk-key"), ("content-type", "multipart/form-data; boundary=b")];
    let form = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nsmart\r\n--b--\r\n";
    assert_eq!(gateway.call(Method::POST, "/v1/responses", &headers, form).await.status, 400);
    assert_eq!(vendor.calls(), 0);
}

/// A single client, or nobody but clients that share what they have, is one domain of trust.
#[tokio::test]
async fn unknown_ids_pass_where_nobody_is_apart() {
    let shared = "clients:\n  shop: { key: shop-key, tenant: t, without_model: true }\n  desk: { key: desk-key, tenant: t }\n";
    let alone = "clients:\n  shop: { key: shop-key, without_model: true }\n";
    for clients in [shared, alone] {
        let vendor = Vendor::with([whole("resp_x", "x"), whole("resp_y", "y")]).await;
        let more = format!("{clients}default_upstream: n\n{VENDORS}");
        let gateway = Gateway::start(&yaml(&[("n", NATIVE, &vendor)], &more)).await;
        assert_eq!(words(&shop(&gateway).get("/v1/responses/resp_x").await), "x");
        assert_eq!(words(&say(&shop(&gateway), "2", json!({"previous_response_id": "resp_x"})).await), "y");
    }
}

/// Without a store nothing can be remembered, and nothing passes.
#[tokio::test]
async fn without_sessions_no_id_is_anybodys() {
    let vendor = Vendor::with([whole("resp_a", "a")]).await;
    let gateway = over(&vendor, "sessions: { store: \"off\" }\n").await;
    say(&shop(&gateway), "1", json!({})).await;
    is_refused(&shop(&gateway), "resp_a").await;
}

/// Another vendor would say that there is no such response, which is not so.
#[tokio::test]
async fn what_one_vendor_alone_knows_is_asked_of_no_other() {
    let (n, m) = (Vendor::with([whole("resp_a", "a")]).await, Vendor::start().await);
    let vendors = yaml(&[("n", NATIVE, &n), ("m", NATIVE, &m)], &format!("{CLIENTS}{VENDORS}"));
    let gateway = Gateway::start(&(vendors + "circuit: { failures: 1 }\n")).await;
    let first = say(&shop(&gateway), "1", json!({})).await;
    let follow = asks("2", json!({"previous_response_id": first["id"]}));
    for refusal in [Reply::status(503, "away"), Reply::status(503, "away")] {
        n.expect(refusal);
        let refused = shop(&gateway).ask(Method::POST, "/v1/responses", &follow).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
    }
    assert_eq!(m.calls(), 0);
}

/// Nobody could say what a form follows.
#[tokio::test]
async fn a_form_without_a_model_is_refused_as_one_with_a_model_is() {
    let vendor = Vendor::start().await;
    let gateway = over(&vendor, &format!("default_model: n/m\n{VENDORS}")).await;
    let headers = [("api-key", "shop-key"), ("content-type", "multipart/form-data; boundary=b")];
    let part = |name: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\nn/m\r\n");
    for fields in [part("input"), part("input") + &part("model")] {
        let answer = gateway.call(Method::POST, "/v1/responses", &headers, fields + "--b--\r\n").await;
        assert_eq!((answer.status.as_u16(), &answer.error()["code"]), (400, &json!("invalid_body")));
    }
    assert_eq!(vendor.calls(), 0);
}
