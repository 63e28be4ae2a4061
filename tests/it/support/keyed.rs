//! A client with a key of its own, for what the gateway keeps for it.

use http::Method;
use serde_json::Value;

use super::client::Answer;
use super::gateway::Gateway;

pub struct Keyed<'a> {
    pub gateway: &'a Gateway,
    pub key: &'a str,
}

impl Keyed<'_> {
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("api-key", self.key), ("content-type", "application/json")];
        self.gateway.call(method, path, &headers, body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.done(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.done(Method::POST, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Value {
        self.done(Method::DELETE, path, Value::Null).await
    }

    async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.ask(method, path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        answer.json()
    }

    /// The status, code and param of a refusal.
    pub async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, String, String) {
        let answer = self.ask(method, path, &body).await;
        let error = answer.error();
        let text = |it: &Value| it.as_str().unwrap_or("-").to_owned();
        assert!(!text(&error["message"]).is_empty(), "{error}");
        (answer.status.as_u16(), text(&error["code"]), text(&error["param"]))
    }

    /// A chat completion with these messages and whatever else a body may say, in this session or in none.
    pub async fn chat(&self, session: &str, more: &Value) -> Value {
        let mut headers = vec![("api-key", self.key), ("content-type", "application/json")];
        headers.extend((!session.is_empty()).then_some(("x-session-id", session)));
        let answer =
            self.gateway.call(Method::POST, "/v1/chat/completions", &headers, more.to_string()).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.json()
    }

    /// The ids of a list, read page by page to its end: each `after` the last id of the page before, or its `next`.
    pub async fn ids(&self, path: &str) -> Vec<String> {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let more = after.map_or(String::new(), |it: String| format!("&after={it}"));
            let page = self.get(&format!("{path}{more}")).await;
            assert_eq!(page["object"], "list");
            let data = page["data"].as_array().unwrap();
            let id = |it: Option<&Value>| it.map_or(Value::Null, |it| it["id"].clone());
            assert_eq!((&page["first_id"], &page["last_id"]), (&id(data.first()), &id(data.last())));
            ids.extend(data.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
            if page["has_more"] == false {
                return ids;
            }
            let next = page.get("next").unwrap_or(&page["last_id"]);
            after = Some(next.as_str().unwrap().to_owned());
        }
    }
}
