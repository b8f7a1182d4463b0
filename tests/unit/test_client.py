"""The client on its own: sending again, waiting for a server that is away, streams."""

import json

import httpx
import pytest

from resit.client import Client, RowChanged, RunChanged, ServerAway

OPEN = {"id": 1, "status": "running"}
CLOSED = {"id": 1, "status": "finished"}


def client_of(handler, sleeps=None, **options):
    return Client(
        "http://resit.example/",
        "t0ken",
        transport=httpx.MockTransport(handler),
        sleep=(sleeps if sleeps is not None else []).append,
        **options,
    )


def stream(*events):
    text = "".join(f"id: {id}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for id, kind, data in events)
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def test_a_trigger_whose_answer_got_lost_is_sent_again_with_its_key():
    seen = []

    def handler(request):
        seen.append((request.headers["Idempotency-Key"], request.content))
        if len(seen) < 3:
            raise httpx.ReadError("reset")
        return httpx.Response(201, json=OPEN)

    with client_of(handler) as client:
        assert client.trigger("shop", {"shards": 2})["id"] == 1
    assert len(set(seen)) == 1
    assert len(seen) == 3


def test_a_server_that_is_not_there_is_asked_once():
    seen = []

    def handler(request):
        seen.append(request)
        raise httpx.ConnectError("refused")

    with client_of(handler) as client, pytest.raises(ServerAway, match=r"http://resit\.example") as raised:
        client.trigger("shop", {})
    assert len(seen) == 1
    assert "resit serve" in raised.value.hint
    assert "t0ken" not in raised.value.message


def test_every_request_carries_the_token():
    def handler(request):
        assert request.headers["Authorization"] == "Bearer t0ken"
        return httpx.Response(200, json=CLOSED)

    with client_of(handler) as client:
        assert client.run("1") == CLOSED


def test_following_survives_a_restart_of_the_server():
    events = iter([stream(("a", "run", OPEN), ("b", "test", {"id": "t"})), None, stream(("c", "end", {}))])
    runs = iter([None, None, OPEN, CLOSED])
    resumed, sleeps = [], []

    def handler(request):
        if request.url.path.endswith("/events"):
            resumed.append(request.headers.get("Last-Event-ID"))
            answer = next(events, None)
        else:
            found = next(runs)
            answer = found and httpx.Response(200, json=found)
        if answer is None:
            raise httpx.ConnectError("refused")
        return answer

    with client_of(handler, sleeps) as client:
        seen = list(client.follow("1"))
    assert seen[:2] == [RunChanged(OPEN), RowChanged({"id": "t"})]
    assert seen[-1] == RunChanged(CLOSED)
    assert resumed == [None, "b", "b", "c"]
    assert sleeps == [0.2, 0.4, 0.2]


def test_the_pause_between_tries_grows_to_a_bound_and_patience_ends():
    now, sleeps = [0.0], []

    def sleep(seconds):
        sleeps.append(seconds)
        now[0] += seconds

    def handler(request):
        raise httpx.ConnectError("refused")

    client = Client("http://h", "t", transport=httpx.MockTransport(handler), sleep=sleep, clock=lambda: now[0])
    with client, pytest.raises(ServerAway, match="tried for 5 minutes"):
        list(client.follow("1"))
    assert sleeps[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert set(sleeps[6:]) == {5.0}
    assert 300 <= now[0] <= 310


def test_a_stream_that_ends_without_an_end_does_not_lose_the_end():
    with client_of(
        lambda r: stream(("a", "run", OPEN)) if r.url.path.endswith("/events") else httpx.Response(200, json=CLOSED)
    ) as client:
        assert list(client.follow("1")) == [RunChanged(OPEN), RunChanged(CLOSED)]


def test_noise_in_a_stream_is_passed_over():
    text = ": keep-alive\n\nevent: run\ndata: {broken\n\nevent: other\ndata: {}\n\nevent: end\ndata:\n\n"
    noisy = httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream; charset=utf-8"})
    with client_of(lambda r: noisy if r.url.path.endswith("/events") else httpx.Response(200, json=CLOSED)) as client:
        assert list(client.follow("1")) == [RunChanged(CLOSED)]


def test_something_that_is_no_stream_is_polled():
    runs = iter([OPEN, OPEN, CLOSED])
    with client_of(
        lambda r: (
            httpx.Response(200, text="<html>")
            if r.url.path.endswith("/events")
            else httpx.Response(200, json=next(runs))
        )
    ) as client:
        assert list(client.follow("1"))[-1] == RunChanged(CLOSED)


def test_a_list_ends_when_its_cursor_does_not_move():
    with client_of(lambda r: httpx.Response(200, json={"items": [OPEN], "next": "same"})) as client:
        assert len(list(client.runs())) == 2


def test_a_log_without_an_offset_header_goes_on_after_its_bytes():
    with client_of(lambda r: httpx.Response(200, text="é")) as client:
        assert client.log("1", 0, 5) == ("é", 7)


def test_a_proxy_of_the_environment_is_not_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    with Client("http://127.0.0.1:9", "t") as client, pytest.raises(ServerAway, match=r"127\.0\.0\.1"):
        client.run("1")
