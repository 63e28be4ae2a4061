//! The chats of the earlier service, taken over from its Redis once.

use serde_json::json;

use crate::cli::{Folder, Said};
use crate::support::{Gateway, RedisServer};

/// What the earlier service left: two users, one of whose names has a colon in it, and things that are none of it.
async fn left() -> RedisServer {
    let redis = RedisServer::start().await;
    let say = async |key: &str, role: &str, content: &str, timestamp: f64, image: Option<&str>| {
        let message = json!({"role": role, "content": content, "timestamp": timestamp, "image_data": image,
            "image_type": image.map(|_| "image/gif")});
        redis.ask::<redis::Value>(&format!("LPUSH conversation:{key} {message}")).await;
    };
    for nth in 0..130 {
        let at = 1_700_000_000.5 + f64::from(nth);
        say("ann:s-1", "user", &format!("q{nth}"), at, (nth == 0).then_some("R0lGODlh")).await;
        say("ann:s-1", "assistant", &format!("a{nth}"), at + 0.25, None).await;
    }
    say("web:bob:s-1", "assistant", "Welcome!", 1_700_000_000.0, None).await;
    say("eve:s:2", "user", "hi", 1_700_000_000.0, None).await;
    say("eve:no~id", "user", "hi", 1_700_000_000.0, None).await;
    for command in [
        "LPUSH conversation:ann:s-1 rubbish",
        "HSET user_sessions:eve s:2 {}",
        "HSET user_sessions:ann s-1 {}",
        "SET conversation:ann:text rubbish",
        "SET other 1",
    ] {
        redis.ask::<redis::Value>(command).await;
    }
    redis
}

async fn import(folder: &Folder, more: &[&str]) -> Said {
    folder.run(&[&["sessions", "import-chat"], more].concat()).await
}

#[tokio::test]
async fn chats_become_sessions_once_and_what_is_there_stays() {
    let redis = left().await;
    let yaml = format!(
        "discover: false\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nchat_api: true\nclients: {{ web: {{ key: k, tenant: shop }} }}\n\
         sessions: {{ store: \"{}\" }}\n",
        redis.url()
    );
    let folder = Folder::with(&[("gateway.yaml", &yaml), ("key", "k\n")]);
    let first = import(&folder, &["--from", "configured", "--tenant", "shop"]).await;
    let told =
        "imported 3 sessions (132 turns of 262 messages), there already 0, refused 1, unreadable messages 1";
    assert!(first.err.contains(told), "{}{}", first.out, first.err);
    assert!(first.err.contains("refused: session \"no~id\""), "{}", first.err);
    assert_eq!(first.code, Some(1));
    let again = import(&folder, &["--from", &redis.url(), "--key-file", "key"]).await;
    assert!(
        again.err.contains("imported 0 sessions (0 turns of 0 messages), there already 3"),
        "{}",
        again.err
    );

    let gateway = Gateway::start(&yaml).await;
    let history = async |user: &str, session: &str| {
        let path = format!("/chat/history?user_id={user}&session_id={session}");
        let answer = gateway.call(http::Method::GET, &path, &[("authorization", "Bearer k")], "").await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text());
        answer.json()
    };
    let ann = history("ann", "s-1").await;
    let messages = ann["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 260);
    assert_eq!((&messages[0]["content"], &messages[259]["content"]), (&json!("q0"), &json!("a129")));
    assert_eq!(
        (&messages[0]["image_data"], &messages[0]["image_type"]),
        (&json!("R0lGODlh"), &json!("image/gif"))
    );
    let times = (&messages[0]["timestamp"], &messages[1]["timestamp"]);
    assert_eq!(times, (&json!(1_700_000_000.5), &json!(1_700_000_000.75)));
    assert_eq!(history("web%3Abob", "s-1").await["total"], 1);
    assert_eq!(history("eve", "s:2").await["messages"][0]["content"], "hi");
}

#[tokio::test]
async fn an_import_that_cannot_be_meant_says_what_to_do() {
    let folder = Folder::with(&[
        ("gateway.yaml", "discover: false\nclients: { web: { key: k } }\n"),
        ("key", "other\n"),
        ("open.yaml", "discover: false\n"),
    ]);
    let check = async |more: &[&str], why: &str| {
        let said = import(&folder, more).await;
        assert_eq!(said.code, Some(1), "{}", said.out);
        assert!(said.err.contains(why), "{}", said.err);
    };
    let from = ["--from", "redis://127.0.0.1:1"];
    check(&from, "say whose the chats become, by --tenant or --key-file").await;
    check(&[&from[..], &["--tenant", "nobody"]].concat(), "no client under `clients`").await;
    check(&[&from[..], &["--key-file", "key"]].concat(), "is no client's").await;
    check(&[&from[..], &["--tenant", "web"]].concat(), "what was imported stays").await;
    check(&["--from", "configured", "--tenant", "web"], "kept its chats in a Redis").await;
    check(&["--from", "nowhere", "--tenant", "web"], "--from: a store is").await;
    check(&[&from[..], &["--config", "open.yaml"]].concat(), "stopped: redis").await;
}
