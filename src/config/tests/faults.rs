//! What is refused, where, and in which words.

use std::collections::HashMap;
use std::path::Path;

use super::{check, load};
use crate::config::load::load_with;

#[test]
fn a_base_url_holds_no_key_no_query_and_a_host() {
    let refuse = |text: &str, reason: &str| {
        let yaml = format!("upstreams: {{a: {{vendor: openai-compatible, base_url: '{text}'}}}}");
        check(&yaml, &[], &[&format!("1:54: upstream `a`: `base_url` must {reason}")]);
    };
    refuse("h/v1", "look like https://host/path");
    refuse("file:///v1", "look like https://host/path");
    refuse("https://u:p@h/v1", "not hold a user or password; keys go under `key`");
    refuse("https://h/v1?a=b", "not hold a query; that goes under `query`");
    refuse("https://h/v1#a", "not hold a fragment");
}

#[test]
fn a_store_of_sessions_is_a_word_or_a_url_that_can_be_used() {
    let refuse = |store: &str, reason: &str| {
        check(&format!("sessions: {{ store: '{store}' }}"), &[], &[&format!("1:20: {reason}")]);
    };
    let names = "must be `embedded`, `memory`, `off` or the URL of a Redis: redis://user:password@host:6379/0, \
                 rediss://… for TLS, unix:///path?db=0; `%`, `@`, `:`, `/`, `?` and `#` in a password are written %25, %40, \
                 %3A, %2F, %3F and %23";
    refuse("hunter2", names);
    refuse("http://u:hunter2@host", names);
    refuse("embedded:a.redb", "write `embedded`, and its file in `sessions.file`");
    for store in ["off", "memory", " embedded ", "redis://localhost/0"] {
        check(&format!("sessions: {{ store: '{store}' }}"), &[], &[]);
    }
}

const MANY_FAULTS: &str = "\
listen: 8080
default_upstream: opena
timeouts:
  idle_ms: 0
failover: { attempts_max: 21, waiting_comment_ms: 50 }
upstreams:
  openai: { key: k }
  other: { vendor: openia, key: k }
  local:
    vendor: openai-compatible
  bad:
    vendor: groq
    key: k
    base_url: ftp://x
    headers: { \"a b\": c, Host: d }
    client_cert: cert.pem
    circuit: { open_ms: 5, open_ms_max: 4 }
routes:
  - { model: a, prefix: b, targets: [openai] }
  - { model: smart, targets: [opnai/gpt-4o, local, { upstream: nobody }] }
  - { model: smart, targets: [openai] }
  - prefix: x
clients:
  shop: { models: [a*b] }
  stall: { key: same, key_sha256: [zz] }
  store: { keys: [same] }
";

#[test]
fn all_faults_are_reported_together_each_in_its_place() {
    let expected = [
        "1:9: `listen` must be address:port, such as 127.0.0.1:8080 or [::]:8080",
        "2:19: no upstream is called `opena`; did you mean `openai`?",
        "4:12: `timeouts.idle_ms` must be a whole number, 1 to 3600000",
        "5:27: `failover.attempts_max` must be a whole number, 1 to 20",
        "5:51: `waiting_comment_ms` must be 0 (never) or 100 and more",
        "8:20: upstream `other`: `openia` is no vendor of the catalogue; did you mean `openai`?; \
         any other is `vendor: openai-compatible` with a `base_url`",
        "9:3: upstream `local`: needs a `base_url`, such as http://127.0.0.1:8000/v1",
        "14:15: upstream `bad`: `base_url` must look like https://host/path",
        "15:23: upstream `bad`: this is no header name",
        "15:32: upstream `bad`: `host` is set by the gateway itself",
        "16:18: upstream `bad`: `client_cert` needs `client_key`",
        "16:18: `cert.pem` cannot be read: No such file or directory",
        "17:25: `open_ms` must not be above `open_ms_max`",
        "19:5: a route has either `model` or `prefix`",
        "20:31: no upstream is called `opnai`; did you mean `openai`?",
        "20:64: no upstream is called `nobody`",
        "21:14: the model `smart` has a route already",
        "22:5: route `x` has no `targets`",
        "24:3: client `shop` has no key; add `key`, `keys`, `key_file` or `key_sha256`",
        "24:20: a model is a name, or the beginning of one and `*`",
        "25:36: `key_sha256` must be 64 hexadecimal digits: `printf %s KEY | sha256sum`",
        "26:3: client `store` has a key of client `stall`; each needs its own",
    ];
    check(MANY_FAULTS, &[], &expected);
}

/// Numbers that no option can hold (negative ones, say) and words for true and false among the rest.
#[test]
fn numbers_out_of_range_hide_no_other_fault() {
    let yaml = "\
listen: 127.0.0.1:99999
workers: -1
limits: { connections_max: -5, calls_max: 0 }
sim: { fail_status: 70000, fail_share: 1.5 }
probe: { down_after: 5000000000, interval_ms: 1.5 }
circuit: { open_ms: 70000 }
upstreams: { deepseek: { key: 007, prewarm: -1 } }
routes:
  - { model: m, targets: [depseek/x, { upstream: nobody, weight: -1 }, sim] }
";
    let expected = [
        "1:9: `listen` must be address:port, such as 127.0.0.1:8080 or [::]:8080",
        "2:10: `workers` must be a whole number, 0 to 1024",
        "3:28: `limits.connections_max` must be a whole number, 1 to 1000000",
        "3:43: `limits.calls_max` must be a whole number, 1 to 1000000",
        "4:21: `sim.fail_status` must be a whole number, 400 to 599",
        "4:40: `sim.fail_share` must be a number, 0.0 to 1.0",
        "5:22: `probe.down_after` must be a whole number, 1 to 100",
        "5:47: `probe.interval_ms` must be a whole number, 0 to 86400000",
        "6:21: `open_ms` must not be above `open_ms_max`",
        "7:45: `upstreams.deepseek.prewarm` must be a whole number, 0 to 64",
        "9:27: no upstream is called `depseek`; did you mean `deepseek`?",
        "9:50: no upstream is called `nobody`",
        "9:66: `routes.0.targets.1.weight` must be a whole number, 0 to 1000000",
    ];
    check(yaml, &[], &expected);
}

/// Each name in `on` is looked up; routes that lead to each other are told at the reference that closes the circle.
#[test]
fn fallbacks_are_known_and_do_not_go_in_circles() {
    let yaml = "\
upstreams: { openai: { key: k } }
routes:
  - model: smart
    targets: [openai/a]
    on: { context_length: [larg], content_filter: [opnai/b], rate_limit: [openai], any: [large, openai/c] }
  - model: large
    targets: [openai/d]
    on: { any: [x-, smart] }
  - prefix: x-
    targets: [openai/e]
    on: { rate_limit: [smart] }
  - model: own
    targets: [openai/f]
    on:
      any:
        - own
        - groq/g
";
    let expected = [
        "5:28: no route is called `larg`; did you mean `large`?",
        "5:52: no upstream is called `opnai`; did you mean `openai`?",
        "5:75: `openai` is an upstream: say which of its models, as `openai/model`",
        "8:21: these routes lead back to where they began: `smart` → `large` → `smart`",
        "11:24: these routes lead back to where they began: `smart` → `large` → `x-` → `smart`",
        "16:11: these routes lead back to where they began: `own` → `own`",
    ];
    check(yaml, &[], &expected);
    let off = "routes: [{ model: m, targets: [sim], on: { any: [groq/g] } }]";
    let warned = load(off, &[]).unwrap().warnings;
    assert_eq!(warned, ["route `m`: fallback `groq/g` is off (GROQ_API_KEY is not set)"]);
}

#[test]
fn what_a_call_is_made_of_has_no_default() {
    let yaml = "\
routes:
  - model: m
    targets: [sim]
    defaults: { temperature: 0.5, stream: true, model: x, messages: [], stream_options: {} }
";
    let expected = [
        "4:43: `stream` cannot be a default",
        "4:56: `model` cannot be a default",
        "4:59: `messages` cannot be a default",
        "4:73: `stream_options` cannot be a default",
    ];
    check(yaml, &[], &expected);
}

#[test]
fn unknown_keys_and_wrong_types_are_reported_together() {
    let yaml = "\
listn: x
limits: { calls_max: many, body_byte_max: 5 }
auth: none
discover: yes
upstreams:
tls: { cert: a }
clients: { shop: { keys: one } }
workers: 1.5
";
    let expected = [
        "1:1: `listn` is no option; did you mean `listen`?",
        "2:22: `limits.calls_max` must be a whole number, 1 to 1000000",
        "2:28: `limits.body_byte_max` is no option; did you mean `body_bytes_max`?",
        "3:7: `auth` must be one of keys, off",
        "4:11: `discover` must be true or false",
        "5:1: `upstreams` must be a map; where it is empty, remove it or write {}",
        "6:1: `tls` needs `key`",
        "7:26: `clients.shop.keys` must be a list",
        "8:10: `workers` must be a whole number, 0 to 1024",
    ];
    check(yaml, &[], &expected);
}

#[test]
fn broken_yaml_is_reported_where_it_breaks() {
    check("listen: 127.0.0.1:0\nroutes: [", &[], &["2:9: unclosed bracket '['"]);
    check("a: 1\na: 2", &[], &["2:1: `a` is given twice"]);
    let fault = "1:12: this `${` begins no reference: write `${NAME}`, or `$$` for a dollar sign";
    check("admin_key: \"a${sk-planted\"", &[], &[fault]);
}

#[test]
fn a_missing_file_is_a_fault() {
    let faults =
        load_with(&HashMap::new(), Path::new("nowhere/.env"), Some(Path::new("nowhere/gateway.yaml")));
    let faults: Vec<_> = faults.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(faults, ["nowhere/gateway.yaml: cannot be read: No such file or directory"]);
}

#[test]
fn a_variable_is_replaced_in_quotes_and_missed_where_it_is_unset() {
    let yaml = "listen: \"127.0.0.1:${PORT}\"\nlimits: {calls_max: \"${CALLS}\"}\nusage: '${USAGE:-false}'\n";
    let loaded = load(yaml, &[("PORT", "9"), ("CALLS", "7")]).unwrap();
    assert_eq!((loaded.listen.port(), loaded.options.limits.calls_max, loaded.options.usage), (9, 7, false));
    let faults = [
        "1:9: PORT is not set; if it may be empty, write `${PORT:-}`",
        "2:21: CALLS is not set; if it may be empty, write `${CALLS:-}`",
    ];
    check(yaml, &[], &faults);
    let yaml =
        "clients: {shop: {key: \"${SHOP_KEY}\"}}\nupstreams: {openai: {key: k, headers: {x: \"${X}\"}}}";
    let faults = [
        "1:23: SHOP_KEY is not set; if it may be empty, write `${SHOP_KEY:-}`",
        "2:43: X is not set; if it may be empty, write `${X:-}`",
    ];
    check(yaml, &[], &faults);
    check("clients: {shop: {key: \"${SHOP_KEY:-}\"}}", &[], &["1:23: a key of client `shop` is empty"]);
}

#[test]
fn what_no_call_could_pass_is_named() {
    let route = |more: &str, expected: &str| {
        let yaml = format!("routes: [{{model: m, {more}, targets: [{{upstream: sim, tags: [us]}}]}}]");
        check(&yaml, &[], &[expected]);
    };
    route("max_price: -1", "1:32: `routes.0.max_price` must be a number, 0 to 1000000");
    route("balance: {price: 0, latency: 0}", "1:21: one of `price` and `latency` must weigh something");
    route("tags: [us, eu]", "1:21: route `m` can never be served: no target has all of its tags");
    route("canary: {target: nobody/m, percent: 5}", "1:38: no upstream is called `nobody`");
}

/// A fault may stand on the line of a key, or be about the key itself; the key is in neither.
#[test]
fn no_fault_shows_a_secret() {
    let planted = [
        ("K", "sk-planted\u{1}key"),
        ("U", "http://user:sk-planted@h/v1"),
        ("OPENAI_BASE_URL", "sk-planted"),
    ];
    for yaml in [
        "upstreams: {openai: {key: \"${K}\"}}",
        "upstreams: {groq: {key: k, base_url: \"${U}\"}}",
        "upstreams: {groq: {key: k, proxy: \"${K}\"}}",
        "upstreams: {groq: {key: k, headers: {a: \"${K}\"}}}",
        "upstreams: {openai: {key: k}}",
        "upstreams: {groq: {key: {a: \"${K}\"}}}",
        "upstreams: {groq: {key: [sk-planted]}}",
        "upstreams: {groq: {key: sk-planted, kee: 1}}",
        "upstreams: {groq: {key: sk-planted, http2: \"${K}\"}}",
        "admin_key: sk-planted\nauth: \"${K}\"",
        "admin_key: sk-planted\nusage: sk-planted",
        "admin_key: \"${K}\"\nlisten: \"${K}\"",
        "admin_key: sk-planted\n listen: x",
        "clients: {a: {key: \"${K}\"}, b: {key: \"${K}\"}}",
        "clients: {a: {key_sha256: [\"${K}\"]}}",
        "clients: {a: {keys: [\"${K}\", \"${K:?}\", [\"${K}\"]]}}",
        "clients: {a: {key_sha256: \"${K}\"}}",
    ] {
        let faults = load(yaml, &planted).map(|_| ()).unwrap_err();
        assert!(!faults.is_empty() && !format!("{faults:?}").contains("planted"), "{yaml}: {faults:?}");
    }
    let yaml = "\
admin_key: sk-planted
clients: {a: {key: sk-planted}}
upstreams: {openai: {key: sk-planted, headers: {a: sk-planted}, query: {b: sk-planted}, proxy: 'http://sk-planted@h'}}
";
    let loaded = load(yaml, &[]).unwrap();
    assert!(!format!("{loaded:?}").contains("planted"));
}

#[test]
fn wide_addresses_need_keys_or_a_word() {
    let fault =
        "1:9: `listen` reaches beyond this machine: add `clients` with keys, or let anyone in by `auth: off`";
    check("listen: 0.0.0.0:8080", &[], &[fault]);
    check("listen: 0.0.0.0:8080\nauth: off", &[], &[]);
    check("listen: '[::]:8080'\nclients: {a: {key: k}}", &[], &[]);
    check("listen: '[::1]:8080'", &[], &[]);
    check("admin: 127.0.0.1:8080", &[], &["1:8: `admin` must differ from `listen`"]);
    let loop_fault = "1:40: upstream `openai`: its base URL is this gateway's own `listen` address; \
                      calls would go round in circles";
    check("upstreams: {openai: {key: k, base_url: 'http://localhost:8080/v1'}}", &[], &[loop_fault]);
    assert_eq!(load("admin: 0.0.0.0:8081", &[]).unwrap().warnings.len(), 1);
    assert_eq!(load("admin: 0.0.0.0:8081\nadmin_key: k", &[]).unwrap().warnings.len(), 0);
}

#[test]
fn what_contradicts_itself_in_limits_and_shadows_is_refused() {
    check(
        "limits: { body_bytes_max: 2048, held_bytes_max: 2047 }",
        &[],
        &["1:49: `held_bytes_max` must not be below `body_bytes_max`"],
    );
    let shadow = |target: &str, message: &str| {
        let yaml =
            format!("routes:\n- {{model: a, targets: [sim], shadow: {{target: {target}, percent: 5}}}}");
        check(&yaml, &[], &[message]);
    };
    shadow("smi/x", "2:47: no upstream is called `smi`");
    shadow("{ upstream: nobody }", "2:59: no upstream is called `nobody`");
}

#[test]
fn a_bound_that_contradicts_another_is_named() {
    check("failover: { backoff_ms: 9000 }", &[], &["1:25: `backoff_ms` must not be above `backoff_ms_max`"]);
    check(
        "upstreams: { openai: { key: k, concurrency: { queue_ms: 0, models: { m: x } } } }",
        &[],
        &[
            "1:57: `upstreams.openai.concurrency.queue_ms` must be a whole number, 1 to 600000",
            "1:73: `upstreams.openai.concurrency.models.m` must be a whole number, at least 0",
        ],
    );
}

#[cfg(not(feature = "tokenizer"))]
#[test]
fn a_tokenizer_that_was_not_built_in_is_a_fault_that_says_how_to_build_it() {
    let fault = "1:15: this build has no tokenizer: build one by `cargo build --release --features tokenizer`, or say \
                 `estimate`";
    check("token_counts: tokenizer", &[], &[fault]);
    assert!(load("token_counts: estimate", &[]).is_ok());
}

#[test]
fn what_a_route_asks_of_streams_must_make_sense() {
    let route = |more: &str| format!("routes:\n  - model: m\n    targets: [sim/a]\n    {more}\n");
    let pace = |pace: &str, fault: &str| check(&route(&format!("throughput: {pace}")), &[], &[fault]);
    let range = "must be a whole number, 1 to 10000";
    pace("{ tokens_per_s_min: 0 }", &format!("4:37: `routes.0.throughput.tokens_per_s_min` {range}"));
    let range = "must be a whole number, 100 to 60000";
    pace("{ tokens_per_s_min: 5, window_ms: 50 }", &format!("4:51: `routes.0.throughput.window_ms` {range}"));
    pace("{ window_ms: 500 }", "4:5: `routes.0.throughput` needs `tokens_per_s_min`");
    let warned = load(&route("continue_cut_streams: true"), &[]).unwrap().warnings;
    assert_eq!(warned, ["route `m`: `continue_cut_streams` does nothing, for it has one target"]);
}

#[test]
fn a_redis_that_nobody_could_connect_to_is_refused_where_it_is_written() {
    let faults = |yaml: &str| -> Vec<String> {
        let faults = load(yaml, &[]).err().unwrap_or_default();
        faults.iter().map(|it| it.trim_start_matches("gateway.yaml:").to_owned()).collect()
    };
    let store = faults("sessions: { store: 'redsi://u:planted@h' }");
    assert!(store[0].starts_with("1:20: must be `embedded`"), "{store:?}");
    assert!(!store[0].contains("planted"), "{store:?}");
    let cluster = faults("sessions: { store: 'redis://h', redis: { cluster: [nowhere] } }");
    assert_eq!(cluster, ["1:42: `nowhere` must be host:port"]);
    let file = faults("sessions:\n  store: rediss://h\n  redis:\n    ca_file: none.pem\n");
    assert_eq!(file, ["4:14: `none.pem` cannot be read: No such file or directory"]);
    let plain = faults("sessions: { store: 'redis://h', redis: { connect_ms: 5 } }");
    assert_eq!(plain, ["1:54: `sessions.redis.connect_ms` must be a whole number, 10 to 60000"]);
    assert_eq!(faults("sessions: { store: 'redis://h' }"), Vec::<String>::new());
}

#[test]
fn a_quirk_that_is_wrong_is_found_where_it_stands() {
    let yaml = "\
upstreams:
  openai:
    key: k
    quirks:
      - { drop: [model], clamp: { n: { min: 2, max: 1 } }, set: { stream: true } }
      - { reasoning: { efforts: { hgih: low } }, remane: {} }
";
    let expected = [
        "5:18: upstream `openai`: `model` cannot be left out",
        "5:35: upstream `openai`: `min` must not be above `max`",
        "5:75: upstream `openai`: `stream` cannot be changed by a quirk",
        "6:41: upstream `openai`: `hgih` is no effort; these are none, minimal, low, medium, high, xhigh, max",
        "6:50: `upstreams.openai.quirks.1.remane` is no option; did you mean `rename`?",
    ];
    check(yaml, &[], &expected);
}
