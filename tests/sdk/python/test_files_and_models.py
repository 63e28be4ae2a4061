"""Calls that name no model, and the list of models."""

import openai
import pytest

from vendor import answer

LINES = b'{"custom_id":"1"}\n{"custom_id":"2"}\n'


def test_a_file_lives_and_dies(client):
    made = client.files.create(file=("batch.jsonl", LINES), purpose="batch")
    assert made.object == "file" and made.bytes == len(LINES)
    assert client.files.retrieve(made.id).id == made.id
    assert made.id in [it.id for it in client.files.list()]
    assert client.files.delete(made.id).deleted


async def test_a_file_is_listed_asynchronously(async_client):
    made = await async_client.files.create(file=("batch.jsonl", LINES), purpose="batch")
    assert made.id in [it.id async for it in async_client.files.list()]
    await async_client.files.delete(made.id)


FILE = {"id": "file-1", "object": "file", "bytes": 1, "created_at": 1, "filename": "a", "purpose": "batch"}


def test_a_call_without_a_model_goes_to_the_default_upstream(scene):
    scene.alpha.will(answer(FILE))
    assert scene.client.files.retrieve("file-1").id == "file-1"
    assert (scene.alpha.last.method, scene.alpha.last.path) == ("GET", "/v1/files/file-1")


def test_a_header_names_another_upstream_and_stays_with_the_gateway(scene):
    scene.beta.will(answer({"id": "file-1", "object": "file", "deleted": True}))
    assert scene.client.files.delete("file-1", extra_headers={"x-tollgate-upstream": "beta"}).deleted
    assert (scene.beta.last.method, scene.beta.last.path) == ("DELETE", "/v1/files/file-1")
    assert scene.beta.last.header("x-tollgate-upstream") is None
    assert scene.alpha.received == []


def test_an_unknown_upstream_in_the_header_is_refused(scene):
    with pytest.raises(openai.APIStatusError) as caught:
        scene.client.files.retrieve("file-1", extra_headers={"x-tollgate-upstream": "gamma"})
    assert caught.value.status_code in (400, 404) and "gamma" in caught.value.message


def test_a_query_is_kept(scene):
    scene.alpha.will(answer({"object": "list", "data": [FILE], "has_more": False}))
    assert [it.id for it in scene.client.files.list(limit=7, extra_query={"x": "a b&c"})] == ["file-1"]
    assert scene.alpha.last.path.startswith("/v1/files?")
    assert "limit=7" in scene.alpha.last.path and "x=a+b%26c" in scene.alpha.last.path.replace("%20", "+")


def test_aliases_and_vendors_models_are_listed(client):
    models = list(client.models.list())
    assert all(it.object == "model" and it.id for it in models)
    ids = [it.id for it in models]
    assert "smart" in ids and "sim/sim-small" in ids and len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["smart", "sim/sim-small"])
def test_one_model_is_described(client, name):
    assert client.models.retrieve(name).id == name


def test_a_model_that_is_not_there_is_not_described(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nothing-like-it")
    assert caught.value.code == "model_not_found"


async def test_models_are_listed_asynchronously(async_client):
    assert "smart" in [it.id async for it in async_client.models.list()]


def test_a_vendor_that_is_away_does_not_empty_the_list(scene):
    scene.beta.close()
    ids = [it.id for it in scene.client.models.list()]
    assert "smart" in ids and "polite" in ids
