"""The client against a real server and a real worker, waiting and awaited; and over a connection that breaks."""

from __future__ import annotations

import asyncio
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.conftest import Server, transform

from meshhook import keys
from meshhook.client import AsyncClient, Client, Event, ProblemAnswered, ServerUnreachable, UnexpectedAnswer
from meshhook.db.connect import Database

# Its server and worker are started once, and not by every process of the tests.
pytestmark = pytest.mark.xdist_group("client")

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "client.md"
BOUND_S = 120.0
WAITS = {
    "nodes": [{"id": "paid", "type": "wait_event", "config": {"event": "paid"}}],
    "edges": [{"from": "trigger", "to": "paid"}],
}


def test_the_examples_of_the_page_work(
    server: Server, client_dsn: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHHOOK_KEY", key_of(client_dsn, name))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 6
    program = "\n".join(blocks).replace("http://127.0.0.1:8080", server.url)
    names: dict[str, Any] = {}
    exec(compile(program, str(PAGE), "exec"), names)
    names["client"].close()


def key_of(dsn: str, name: str) -> str:
    async def make() -> str:
        database = Database(dsn, size=1, name="test")
        await database.connect()
        try:
            return await keys.create_key(database, 0, name)
        finally:
            await database.close()

    return asyncio.run(make())


def test_what_it_reads_is_what_the_server_has(client: Client, name: str) -> None:
    saved = client.save_draft(name, transform("input.n"))
    assert (saved.name, saved.published, saved.warnings) == (name, None, [])
    assert client.publish(name).version == 1
    assert client.get_version(name, 1).definition == transform("input.n")
    assert name in [workflow.name for workflow in client.list_workflows().items]
    endpoint = client.create_endpoint(path=f"in/{name}", workflow=name, methods=["POST", "PUT"])
    assert client.get_endpoint(f"in/{name}") == endpoint
    schedule = client.save_schedule(name, workflow=name, cron="0 9 * * *", timezone="Europe/Berlin")
    assert (schedule.cron, schedule.timezone, schedule.overlap) == ("0 9 * * *", "Europe/Berlin", "allow")
    assert len(client.get_next(name, count=3).items) == 3
    preview = client.begin_operation(kind="cancel", filter={"workflow": name}, dry_run=True)
    assert preview.matched == 0  # type: ignore[union-attr]
    client.delete_schedule(name)
    client.delete_endpoint(f"in/{name}")
    with pytest.raises(ProblemAnswered) as refused:
        client.get_endpoint(f"in/{name}")
    assert (refused.value.status, refused.value.name) == (404, "unknown-endpoint")
    assert client.healthz().status == "alive"
    assert "meshhook_" in client.metrics()
    assert client.read_session().how == "local"


def test_faults_of_a_definition_are_told_one_by_one(client: Client, name: str) -> None:
    with pytest.raises(ProblemAnswered) as refused:
        client.save_draft(name, {"nodes": [{"id": "a", "type": "nonsense"}], "edges": []})
    assert refused.value.name == "invalid-definition"
    assert "$.nodes[0].type" in [fault["path"] for fault in refused.value.errors]
    assert "$.nodes[0].type" in str(refused.value)


def test_it_waits_for_a_run_and_not_for_ever(client: Client, name: str) -> None:
    client.save_draft(name, WAITS)
    client.publish(name)
    started = client.start_run(name, {"order": 7})
    with pytest.raises(TimeoutError, match="is still"):
        client.wait(started.run_id, timeout_s=0.2)
    client.signal_run(started.run_id, name="paid", payload={"by": "card"})
    ended = client.wait(started.run_id, timeout_s=BOUND_S)
    assert ended.status == "completed"


def test_all_pages_of_a_list(client: Client, name: str) -> None:
    client.save_draft(name, transform())
    client.publish(name)
    started = [client.start_run(name, number).run_id for number in range(5)]
    listed = [run.id for run in client.each(Client.list_runs, workflow=name, limit=2)]
    assert sorted(listed) == sorted(started)
    assert [entry.subject for entry in client.each(Client.list_audit, action="workflow", subject=name, limit=1)]


def test_one_key_starts_one_run(client: Client, name: str) -> None:
    client.save_draft(name, transform())
    client.publish(name)
    first, again = (client.start_run(name, 1, idempotency_key=f"once-{name}") for _ in range(2))
    assert (first.run_id, first.duplicate, again.duplicate) == (again.run_id, False, True)
    assert client.start_run(name, 1).run_id != client.start_run(name, 1).run_id


async def test_the_same_calls_are_awaited(server: Server, name: str) -> None:
    async with AsyncClient(server.url) as client:
        await client.save_draft(name, transform("input"))
        await client.publish(name)
        started = [await client.start_run(name, number) for number in range(5)]
        ended = await asyncio.gather(*(client.wait(run.run_id, timeout_s=BOUND_S) for run in started))
        assert [run.output for run in ended] == [0, 1, 2, 3, 4]
        assert len([run async for run in client.each(AsyncClient.list_runs, workflow=name, limit=2)]) == 5
        told = [event async for event in client.stream_run(started[0].run_id)]
        assert told[-1].name == "end"
        with pytest.raises(ProblemAnswered):
            await client.get_workflow(f"{name}-nowhere")


def test_a_password_is_a_way_in_for_programs_too(client_dsn: str, name: str) -> None:
    guarded = Server(client_dsn, require_key="true")
    try:
        key = key_of(client_dsn, name)
        with Client(guarded.url) as client:
            with pytest.raises(ProblemAnswered, match="unauthorized"):
                client.list_workflows()
            assert client.open_session(key=key).key == name
            assert client.save_draft(name, transform()).name == name  # the cookie, and where the request comes from
            client.end_session()
            assert client.read_session().signed_in is False
        with Client(guarded.url, key=f"{key}\n") as client:
            assert client.read_session().how == "key"
            assert key not in repr(client)
    finally:
        guarded.end()


class Wire:
    """A way to a server that breaks: after so many bytes of an answer, connection by connection; ``None`` lets all through."""

    def __init__(self, port: int, cuts: list[int | None]) -> None:
        self.port, self.cuts, self.used = port, cuts, 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                inside, _ = self._door.accept()
            except OSError:
                return
            cut = self.cuts[self.used] if self.used < len(self.cuts) else None
            self.used += 1
            with inside, socket.create_connection(("127.0.0.1", self.port)) as outside:
                self._pass_on(inside, outside, cut)

    def _pass_on(self, inside: socket.socket, outside: socket.socket, cut: int | None) -> None:
        while True:
            ready, _, _ = select.select([inside, outside], [], [], BOUND_S)
            for one in ready:
                data = one.recv(65536)
                if one is outside and cut is not None:
                    data, cut = data[:cut], max(0, cut - len(data))
                if not data:
                    return
                (outside if one is inside else inside).sendall(data)
                if one is outside and cut == 0:
                    return

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join()


@pytest.fixture
def wires(server: Server) -> Iterator[Any]:
    made: list[Wire] = []

    def make(*cuts: int | None) -> Wire:
        made.append(Wire(server.port, list(cuts)))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


def test_a_lost_answer_starts_no_second_run(client: Client, wires: Any, name: str) -> None:
    client.save_draft(name, transform())
    client.publish(name)
    wire = wires(0, 40)
    with Client(wire.url) as flaky:
        started = flaky.start_run(name, {"once": True})
    assert wire.used == 3
    assert [run.id for run in client.each(Client.list_runs, workflow=name)] == [started.run_id]


def test_a_lost_answer_to_a_change_is_told_and_not_repeated(wires: Any, name: str) -> None:
    wire = wires(0)
    with Client(wire.url) as flaky, pytest.raises(ServerUnreachable) as lost:
        flaky.save_draft(name, transform())
    assert (lost.value.maybe_done, wire.used) == (True, 1)


def test_a_stream_that_breaks_tells_everything_once(client: Client, wires: Any, name: str) -> None:
    client.save_draft(name, transform())
    client.publish(name)
    run_id = client.wait(client.start_run(name, "x" * 400).run_id, timeout_s=BOUND_S).id
    whole = list(client.stream_run(run_id))
    assert [event.name for event in whole if event.name] == ["end"]
    wire = wires(0, 700, 900)
    with Client(wire.url, retries=5) as flaky:
        told: list[Event] = list(flaky.stream_run(run_id))
    assert told == whole
    assert wire.used >= 3


def test_a_stream_that_is_left_is_closed(client: Client, server: Server, name: str) -> None:
    client.save_draft(name, transform())
    client.publish(name)
    run_id = client.wait(client.start_run(name).run_id, timeout_s=BOUND_S).id
    events = client.stream_run(run_id)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert client.healthz().status == "alive"


def test_nobody_there_is_told_as_such() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, retries=0) as client, pytest.raises(ServerUnreachable) as nobody:
            client.list_runs()
    assert nobody.value.maybe_done is False


def test_another_server_is_told_as_such() -> None:
    def stranger(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": "https://elsewhere.example"}, text="Moved")

    http = httpx.Client(transport=httpx.MockTransport(stranger))
    with Client("http://stranger.example", key="mh_x", http=http) as client, pytest.raises(UnexpectedAnswer) as told:
        client.list_runs()
    assert told.value.status == 302
    assert not http.is_closed
    http.close()
