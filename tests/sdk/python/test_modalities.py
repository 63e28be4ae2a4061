"""Pictures, sound, vectors and verdicts."""

import base64
import http.client
import io
import json

import pytest

from gateway import CLIENT_KEY
from vendor import Answer, answer, completion

SOUND = b"RIFF" + bytes(range(256)) * 40  # every byte value, the ends of lines among them
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(PNG).decode()}},
        ],
    }
]


def test_a_picture_can_be_asked_about(client):
    made = client.chat.completions.create(model="sim/sim-small", messages=PICTURE)
    assert made.choices[0].message.content


def test_a_picture_reaches_the_vendor_unchanged(scene):
    scene.alpha.will(completion())
    scene.client.chat.completions.create(model="smart", messages=PICTURE)
    assert scene.alpha.last.json()["messages"] == PICTURE


def test_embeddings_are_the_same_as_numbers_and_as_base64(client):
    create, texts = client.embeddings.create, ["first", "second"]
    by_default = create(model="sim/sim-small", input=texts)  # the SDK asks for base64 and decodes it
    as_numbers = create(model="sim/sim-small", input=texts, encoding_format="float")
    assert [it.index for it in by_default.data] == [it.index for it in as_numbers.data] == [0, 1]
    for packed, plain in zip(by_default.data, as_numbers.data):
        assert packed.embedding == pytest.approx(plain.embedding, rel=1e-6)
    assert by_default.usage.prompt_tokens > 0


async def test_embeddings_are_answered_asynchronously(async_client):
    response = await async_client.embeddings.create(model="sim/sim-small", input="first")
    assert all(isinstance(number, float) for number in response.data[0].embedding)


@pytest.mark.parametrize("named", [{"model": "sim/sim-small"}, {}], ids=["with a model", "without a model"])
def test_a_text_is_moderated(client, named):
    response = client.moderations.create(input="I like bread.", **named)
    assert response.results[0].flagged in (True, False)


def test_a_picture_is_made(client):
    response = client.images.generate(model="sim/sim-small", prompt="a loaf", response_format="b64_json")
    assert base64.b64decode(response.data[0].b64_json, validate=True)


def test_a_picture_is_edited_with_its_bytes_unchanged(scene):
    scene.alpha.will(answer({"created": 1, "data": [{"b64_json": base64.b64encode(PNG).decode()}]}))
    picture = ("loaf.png", io.BytesIO(PNG), "image/png")
    response = scene.client.images.edit(model="alpha/painter", image=picture, prompt="more seeds")
    assert base64.b64decode(response.data[0].b64_json) == PNG
    assert PNG in scene.alpha.last.body
    assert b"alpha/painter" not in scene.alpha.last.body and b"painter" in scene.alpha.last.body


def test_speech_is_transcribed(client):
    response = client.audio.transcriptions.create(model="sim/sim-small", file=("talk.wav", io.BytesIO(SOUND)))
    assert response.text


async def test_speech_is_transcribed_asynchronously(async_client):
    response = await async_client.audio.transcriptions.create(model="sim/sim-small", file=("talk.wav", SOUND))
    assert response.text


@pytest.mark.parametrize("order", ["file first", "model first"])
def test_an_upload_is_routed_by_its_model_wherever_it_stands(scene, order):
    mark = "tollgate-test-boundary"
    model = f'--{mark}\r\nContent-Disposition: form-data; name="model"\r\n\r\nalpha/ear\r\n'.encode()
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="model"\r\n'.encode()
    file = head + b"Content-Type: audio/wav\r\n\r\n" + SOUND + b"\r\n"
    parts = [file, model] if order == "file first" else [model, file]
    body = b"".join(parts) + f"--{mark}--\r\n".encode()

    scene.alpha.will(answer({"text": "good morning"}))
    connection = http.client.HTTPConnection(scene.gateway.calls, timeout=30)
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": f"multipart/form-data; boundary={mark}"}
    connection.request("POST", "/v1/audio/transcriptions", body, headers)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (200, {"text": "good morning"})
    connection.close()

    assert scene.alpha.last.path == "/v1/audio/transcriptions"
    assert scene.alpha.last.body == body.replace(b"alpha/ear", b"ear")


def test_speech_is_made(client):
    response = client.audio.speech.create(model="sim/sim-small", voice="alloy", input="Good morning.")
    assert response.content


def test_speech_streams(client):
    create = client.audio.speech.with_streaming_response.create
    with create(model="sim/sim-small", voice="alloy", input="Good morning.") as response:
        assert not response.headers["content-type"].startswith("application/json")
        assert sum(len(piece) for piece in response.iter_bytes()) > 0


def test_binary_answers_arrive_unchanged(scene):
    pieces = [SOUND[at : at + 999] for at in range(0, len(SOUND), 999)]
    scene.alpha.will(Answer(headers={"content-type": "audio/wav"}, pieces=pieces))
    response = scene.client.audio.speech.create(model="alpha/voice", voice="alloy", input="Good morning.")
    assert response.content == SOUND
    assert response.response.headers["content-type"] == "audio/wav"
