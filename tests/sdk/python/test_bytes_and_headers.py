"""What leaves for a vendor and what comes back: every byte and header that should, and none that should not."""

import http.client
import json

import openai

from conftest import ALPHA_KEY
from gateway import CLIENT_KEY
from vendor import DONE, ROLE, STOP, Answer, chunk, completion, stream

MESSAGES = [{"role": "user", "content": "Grüße, 世界"}]
# Spacing, order, number spelling, escapes, unknown fields and a model hidden in other places: all must survive.
BODY = (
    '{ "messages" : [ {"content":"\\u0041 \\/ \\ud83c\\udf0d {\\"model\\":\\"x\\"}","role":"user"} ],\r\n\t'
    '"temperature":1.0e0, "seed":12345678901234567890123, "top_p":0.10,"not_yet_invented":{"model":"y","stream":true},'
    '"mod\\u0065l" : "alpha/alpha-1" , "metadata":{},"stop":null }\n'
).encode()


def post(gateway, body, path="/v1/chat/completions", headers=None):
    connection = http.client.HTTPConnection(gateway.calls, timeout=30)
    named = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json", **(headers or {})}
    connection.request("POST", path, body, named)
    response = connection.getresponse()
    got = response.read()
    connection.close()
    assert response.status == 200, got
    return got


def test_a_body_reaches_the_vendor_with_nothing_but_the_model_changed(scene):
    scene.alpha.will(completion())
    post(scene.gateway, BODY)
    assert scene.alpha.last.body == BODY.replace(b'"alpha/alpha-1"', b'"alpha-1"')


def test_an_answer_reaches_the_client_unchanged(scene):
    odd = b'\n {"id" : "1","choices":[{"index":0,"message":{"role":"assistant","content":"\\u0041"}}],"x":1.50 } \n'
    scene.alpha.will(Answer(body=odd))
    assert post(scene.gateway, BODY) == odd


def test_a_stream_reaches_the_client_unchanged(scene):
    asked = b'{"model":"alpha/alpha-1","stream":true,"stream_options":{"include_usage":true},"messages":[]}'
    words = [chunk({"content": "a"}), b'data:{"choices":[ {"index":0,"delta":{"content" : "b"}} ],"x":1.50}\n\n']
    scene.alpha.will(stream(ROLE, *words, STOP, DONE))
    assert post(scene.gateway, asked) == b"".join([ROLE, *words, STOP, DONE])
    assert scene.alpha.last.body == asked.replace(b"alpha/", b"")


def test_what_the_sdk_sends_is_what_the_vendor_gets(scene):
    sent = []
    spy = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: sent.append(request.read())]})
    scene.alpha.will(completion())
    with scene.connect(http_client=spy) as client:
        client.chat.completions.create(model="alpha/alpha-1", messages=MESSAGES, temperature=0.1, extra_body={"new": 1.0})
    assert scene.alpha.last.body == sent[0].replace(b'"alpha/alpha-1"', b'"alpha-1"')


def test_a_vendor_gets_its_own_key_and_nothing_of_the_clients(scene):
    scene.alpha.will(completion())
    private = {
        "cookie": "session=secret-cookie",
        "x-api-key": CLIENT_KEY,
        "api-key": CLIENT_KEY,
        "forwarded": "for=192.0.2.1",
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-host": "inside.example",
        "x-real-ip": "192.0.2.1",
        "via": "1.1 inside",
        "connection": "x-hop, authorization, keep-alive",
        "x-hop": "only to you",
        "proxy-authorization": "Basic c2VjcmV0",
        "te": "trailers",
    }
    post(scene.gateway, BODY, headers=private)
    got = scene.alpha.last
    assert [value for name, value in got.headers if name.lower() == "authorization"] == [f"Bearer {ALPHA_KEY}"]
    kept = {name.lower() for name, _ in got.headers} & (private.keys() - {"connection"})
    assert kept == set()
    assert not any(CLIENT_KEY in value or "192.0.2.1" in value for _, value in got.headers)
    assert got.header("host") in scene.alpha.base_url and got.header("content-type") == "application/json"


def test_a_clients_answer_has_the_vendors_useful_headers_and_no_private_ones(scene):
    headers = {
        "content-type": "application/json",
        "x-ratelimit-remaining-tokens": "99",
        "openai-processing-ms": "12",
        "openai-organization": "org-of-the-vendor-account",
        "set-cookie": "vendor=1",
        "connection": "keep-alive, x-vendor-hop",
        "x-vendor-hop": "1",
    }
    scene.alpha.will(Answer(body=completion().body, headers=headers))
    raw = scene.client.chat.completions.with_raw_response.create(model="alpha/alpha-1", messages=MESSAGES)
    assert raw.headers["x-ratelimit-remaining-tokens"] == "99"
    assert raw.headers["content-type"] == "application/json"
    for name in ("openai-organization", "set-cookie", "x-vendor-hop"):
        assert name not in raw.headers
    assert "vendor-private" not in raw.headers.get("server", "")


def test_no_field_of_a_body_sends_a_call_to_another_host(scene):
    scene.alpha.will(completion())
    asked = {"api_base": scene.beta.base_url, "base_url": scene.beta.base_url}
    post(scene.gateway, json.dumps({"model": "alpha/alpha-1", "messages": MESSAGES, **asked}).encode())
    assert scene.beta.received == []
