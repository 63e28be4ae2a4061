//! Chat completions that their client asked to store, as OpenAI lists, shows, describes and deletes them.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Gateway, Keyed, Reply, Vendor, over};

/// What a vendor says with this id and model.
fn reply(id: &str, model: &str, created: u64) -> Reply {
    let message = json!({"role": "assistant", "content": "four", "refusal": null});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop", "logprobs": null});
    let answer = json!({"id": id, "object": "chat.completion", "created": created, "model": model, "choices": [choice],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}});
    Reply::json(200, answer.to_string())
}

struct Scene {
    gateway: Gateway,
    vendor: Vendor,
}

impl Scene {
    async fn start(sessions: &str) -> Self {
        let vendor = Vendor::start().await;
        let more = format!("sessions: {{ store: memory, {sessions} }}\ndefault_upstream: a\n");
        Self { gateway: Gateway::start(&over(&[("a", &vendor.url())], &more)).await, vendor }
    }

    fn client(&self) -> Keyed<'_> {
        Keyed { gateway: &self.gateway, key: "shown" }
    }

    /// A completion that is stored, or not.
    async fn made(&self, id: &str, model: &str, created: u64, more: Value) -> Value {
        self.vendor.expect(reply(id, model, created));
        let mut body = json!({"model": "smart", "messages": [{"role": "user", "content": "2+2?"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.client().chat("", &body).await
    }
}

#[tokio::test]
async fn a_completion_is_kept_only_when_its_client_wants_it() {
    let scene = Scene::start("").await;
    let client = scene.client();
    let more = json!({"store": true, "metadata": {"k": "v"}, "temperature": 0.50, "seed": 7});
    let answer = scene.made("chatcmpl-1", "m", 1_000, more).await;
    scene.made("chatcmpl-2", "m", 1_000, json!({})).await;
    scene.made("chatcmpl-3", "m", 1_000, json!({"store": false})).await;
    assert_eq!(client.ids("/v1/chat/completions").await, ["chatcmpl-1"]);
    let kept = client.get("/v1/chat/completions/chatcmpl-1").await;
    for (name, value) in answer.as_object().unwrap() {
        assert_eq!(&kept[name], value, "{name}");
    }
    assert_eq!(
        (&kept["metadata"], &kept["temperature"], &kept["seed"]),
        (&json!({"k": "v"}), &json!(0.5), &json!(7))
    );

    let path = "/v1/chat/completions/chatcmpl-1";
    assert_eq!(client.post(path, json!({"metadata": {"l": "w"}})).await["metadata"], json!({"l": "w"}));
    assert_eq!(client.get(path).await["metadata"], json!({"l": "w"}));
    assert_eq!(client.get(path).await["choices"], answer["choices"]);
    let deleted = json!({"id": "chatcmpl-1", "object": "chat.completion.deleted", "deleted": true});
    assert_eq!(client.delete(path).await, deleted);
    for (method, path) in [
        (Method::GET, path.to_owned()),
        (Method::DELETE, path.to_owned()),
        (Method::POST, path.to_owned()),
        (Method::GET, format!("{path}/messages")),
    ] {
        let refused = client.refused(method.clone(), &path, json!({"metadata": {}})).await;
        assert_eq!((refused.0, refused.1.as_str()), (404, "completion_not_found"), "{method} {path}");
    }
}

#[tokio::test]
async fn of_two_completions_with_one_id_the_later_one_is_kept() {
    let scene = Scene::start("").await;
    for (model, more) in [("m", json!({"k": "v"})), ("n", json!({"l": "w"}))] {
        scene.made("chatcmpl-7", model, 1_000, json!({"store": true, "metadata": more})).await;
    }
    let client = scene.client();
    assert_eq!(client.ids("/v1/chat/completions").await, ["chatcmpl-7"]);
    let kept = client.get("/v1/chat/completions/chatcmpl-7").await;
    assert_eq!((&kept["model"], &kept["metadata"]), (&json!("n"), &json!({"l": "w"})));
}

#[tokio::test]
async fn completions_are_listed_by_age_model_and_metadata() {
    let scene = Scene::start("").await;
    let client = scene.client();
    for at in 0..6_u64 {
        let more =
            json!({"store": true, "metadata": {"even": (at % 2 == 0).to_string(), "at": at.to_string()}});
        let model = if at < 3 { "old" } else { "new" };
        scene.made(&format!("c-{at}"), model, 1_000 + at, more).await;
    }
    let check = async |query: &str, ids: &[&str]| {
        assert_eq!(client.ids(&format!("/v1/chat/completions?{query}")).await, ids, "{query}");
    };
    check("limit=2", &["c-0", "c-1", "c-2", "c-3", "c-4", "c-5"]).await;
    check("limit=4&order=desc", &["c-5", "c-4", "c-3", "c-2", "c-1", "c-0"]).await;
    check("model=new&limit=1", &["c-3", "c-4", "c-5"]).await;
    check("metadata[even]=true", &["c-0", "c-2", "c-4"]).await;
    check("metadata%5Beven%5D=true&metadata[at]=4", &["c-4"]).await;
    check("metadata[even]=true&model=old&limit=1", &["c-0", "c-2"]).await;
    check("metadata[odd]=true", &[]).await;
    let page = client.get("/v1/chat/completions?after=c-4").await;
    assert_eq!(
        (&page["first_id"], &page["last_id"], &page["has_more"]),
        (&json!("c-5"), &json!("c-5"), &json!(false))
    );
    let other = Keyed { gateway: &scene.gateway, key: "other" };
    assert_eq!(other.get("/v1/chat/completions").await["data"], json!([]));
    assert_eq!(other.refused(Method::GET, "/v1/chat/completions/c-1", Value::Null).await.0, 404);
    // Its id is none of a session.
    assert_eq!(client.refused(Method::GET, "/v1/sessions/c-1", Value::Null).await.0, 404);
    assert_eq!(client.get("/v1/sessions").await["data"], json!([]));
}

#[tokio::test]
async fn the_messages_of_a_completion_have_ids_and_their_parts_apart() {
    let scene = Scene::start("").await;
    let client = scene.client();
    let parts = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:x"}}]);
    let messages = json!([{"role": "system", "content": "s"}, {"role": "user", "content": parts, "name": "n"},
        {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]);
    scene.made("c-1", "m", 1, json!({"store": true, "messages": messages})).await;
    let path = "/v1/chat/completions/c-1/messages";
    let list = client.get(path).await;
    assert_eq!(
        list["data"][1],
        json!({"id": "c-1-1", "role": "user", "name": "n", "content": null, "content_parts": parts})
    );
    assert_eq!(
        list["data"][0],
        json!({"id": "c-1-0", "role": "system", "content": "s", "content_parts": null})
    );
    for limit in [1, 3] {
        let ids = client.ids(&format!("{path}?limit={limit}")).await;
        assert_eq!(ids, ["c-1-0", "c-1-1", "c-1-2", "c-1-3"]);
        let ids = client.ids(&format!("{path}?limit={limit}&order=desc")).await;
        assert_eq!(ids, ["c-1-3", "c-1-2", "c-1-1", "c-1-0"]);
    }
    assert_eq!(
        client.refused(Method::GET, &format!("{path}?after=x"), Value::Null).await.1,
        "invalid_cursor"
    );
}

#[tokio::test]
async fn a_vendor_that_keeps_completions_is_asked_for_them() {
    let scene = Scene::start("completions: vendor").await;
    for (method, path, body) in [
        (Method::GET, "/v1/chat/completions?limit=1", Value::Null),
        (Method::GET, "/v1/chat/completions/c-1/messages", Value::Null),
        (Method::POST, "/v1/chat/completions/c-1", json!({"metadata": {}})),
        (Method::DELETE, "/v1/chat/completions/c-1", Value::Null),
    ] {
        scene.vendor.expect(Reply::json(200, "{\"of\":\"vendor\"}"));
        let answer = scene.client().ask(method.clone(), path, &body).await;
        assert_eq!(answer.json()["of"], "vendor", "{method} {path}");
        let seen = scene.vendor.seen();
        let last = seen.last().unwrap();
        assert_eq!((last.method.as_str(), last.target.as_str()), (method.as_str(), path));
    }
    let line = scene.gateway.call_line(0).await;
    assert_eq!(line["upstream"], "a");
}

#[tokio::test]
async fn a_caller_who_names_an_upstream_gets_what_its_vendor_keeps() {
    let scene = Scene::start("completions: gateway").await;
    for path in ["/v1/chat/completions", "/v1/conversations/conv_1"] {
        scene.vendor.expect(Reply::json(200, "{\"of\":\"vendor\"}"));
        let answer = scene.gateway.call(Method::GET, path, &[("x-tollgate-upstream", "a")], "").await;
        assert_eq!(answer.json()["of"], "vendor", "{path}");
    }
    let own = scene.gateway.call(Method::GET, "/v1/sessions", &[("x-tollgate-upstream", "a")], "").await;
    assert_eq!(own.json()["object"], "list");
}

#[tokio::test]
async fn a_list_goes_on_behind_what_was_deleted_while_it_was_read() {
    let scene = Scene::start("").await;
    let client = scene.client();
    for at in 0..5_u64 {
        scene.made(&format!("c-{at}"), "m", 1_000 + at, json!({"store": true})).await;
        client.post("/v1/sessions", json!({"id": format!("s-{at}")})).await;
    }
    for path in ["/v1/chat/completions", "/v1/sessions"] {
        let (mut after, mut seen) = (String::new(), 0);
        loop {
            let page = client.get(&format!("{path}?limit=2&order=asc{after}")).await;
            for one in page["data"].as_array().unwrap() {
                client.delete(&format!("{path}/{}", one["id"].as_str().unwrap())).await;
                seen += 1;
            }
            if page["has_more"] == false {
                break;
            }
            after = format!("&after={}", page["last_id"].as_str().unwrap());
        }
        assert_eq!(seen, 5, "{path}");
    }
}

#[tokio::test]
async fn metadata_that_could_not_be_kept_is_refused_before_the_call_is_made() {
    let scene = Scene::start("").await;
    let metadata = json!({"k": "v".repeat(513)});
    let body = json!({"model": "smart", "messages": [{"role": "user", "content": "a"}], "metadata": metadata, "store": true});
    let refused = scene.client().refused(Method::POST, "/v1/chat/completions", body).await;
    assert_eq!(refused, (400, "invalid_value".into(), "metadata.k".into()));
    assert_eq!(scene.vendor.seen().len(), 0);
}
