"""The light generator of the benchmark: requests made before, no ledger, its own processor time reported.

It ends early, and reports, on SIGTERM. It proves nothing: what came of its requests is counted in the database. It
exists because on two cores every microsecond of the sender is taken from the engine. Two models: closed, so many
connections that each send again when they are answered (a refused one waits as long as the door asks); and open, so
many requests a second whatever comes back.
"""

from __future__ import annotations

import asyncio
import gc
import hmac
import resource
import signal
import sys
from array import array
from binascii import b2a_base64
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, cycle
from time import perf_counter_ns, process_time_ns, time_ns
from typing import Any

import httptools
import msgspec
import uvloop

from meshproof import scenarios
from meshproof.stats import Histogram

BODIES = 1_000
TICK_S = 0.001
ACCEPTED = 202
TIMEOUT_S = 15.0


class LightJob(msgspec.Struct):
    """What to send."""

    host: str
    port: int
    endpoint: str
    """Several with commas between them take turns, when there is no namespace."""
    scenario: str
    seconds: float
    """How long to send."""
    connections: int = 64
    """How many there are; in the open model, at most."""
    rate: float = 0.0
    """Requests a second of the open model; 0 is the closed one."""
    requests_max: int = 0
    """End earlier, after so many requests; 0 is no bound."""
    namespace: str | None = None
    """With one, every request carries a delivery id of its own, and so a key to remember."""
    signed_with: bytes | None = None
    """With a key, every request with a delivery id is signed as Standard Webhooks say."""


class Report(msgspec.Struct):
    """What came back."""

    sent: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    """Neither: another status, or no reply at all."""
    refused_without_retry_after: int = 0
    unsent: int = 0
    """Requests of the open model that found no free connection."""
    from_us: int = 0
    to_us: int = 0
    """When it sent, in microseconds of Unix time; the last replies came later."""
    cpu_share: float = 0.0
    accept: dict[str, Any] = {}
    """Histogram of the latencies of accepted requests, from their sending."""

    @property
    def seconds(self) -> float:
        """How long it was sending."""
        return (self.to_us - self.from_us) / 1e6


class Sender(asyncio.Protocol):
    """One connection that sends again and again."""

    def __init__(self, bench: Light) -> None:
        self._bench = bench
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._sent_ns = 0
        self.busy = False
        self._retry_after: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self) -> None:
        """Send the next request."""
        self._bench.report.sent += 1
        self.busy = True
        self._sent_ns = perf_counter_ns()
        self._transport.write(self._bench.next_request())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 11 and name.lower() == b"retry-after":
            self._retry_after = value

    def on_message_complete(self) -> None:
        self.busy = False
        status = self._parser.get_status_code()
        retry_after, self._retry_after = self._retry_after, None
        if status == ACCEPTED:
            self._bench.accepted(self, perf_counter_ns() - self._sent_ns)
        else:
            self._bench.refused(self, status, retry_after)

    def connection_lost(self, exc: Exception | None) -> None:
        self._bench.lost(self)

    def close(self) -> None:
        """Close the connection."""
        self._transport.abort()


class Light:
    """One run of the light generator."""

    def __init__(self, job: LightJob) -> None:
        self.report = Report()
        self._job = job
        self._heads, self._tails = _prebuilt(job)
        self._order = cycle(range(len(self._tails)))
        self._keys: Iterator[int] = count()
        self._free: list[Sender] = []
        self._senders: set[Sender] = set()
        self._accept_us = array("q")
        self._sending = True
        self._in_flight = 0

    def next_request(self) -> bytes:
        """The bytes of the next request."""
        number = next(self._order)
        self._in_flight += 1
        if self._job.namespace is None:
            return self._tails[number]
        id = b"%b-%x" % (self._job.namespace.encode(), next(self._keys))
        return b"%b%b%b%b" % (self._heads, id, self._signature(id, self._tails[number]), self._tails[number])

    def _signature(self, id: bytes, tail: bytes) -> bytes:
        """The headers that prove a request, if it is to be signed."""
        if self._job.signed_with is None:
            return b""
        now = b"%d" % (time_ns() // 1_000_000_000)
        body = tail[tail.index(b"\r\n\r\n") + 4 :]
        mac = hmac.digest(self._job.signed_with, b"%b.%b.%b" % (id, now, body), "sha256")
        return b"\r\nwebhook-timestamp: %b\r\nwebhook-signature: v1,%b" % (now, b2a_base64(mac, newline=False))

    async def run(self) -> Report:
        """Send for as long as asked, wait for the last replies, and report."""
        loop = asyncio.get_running_loop()
        for _ in range(self._job.connections):
            _, sender = await loop.create_connection(lambda: Sender(self), self._job.host, self._job.port)
            self._senders.add(sender)
        began_ns, cpu_ns = perf_counter_ns(), process_time_ns()
        self.report.from_us = time_ns() // 1_000
        self._free = list(self._senders)
        if self._job.rate:
            await self._open(began_ns)
        else:
            await self._closed(began_ns)
        self.report.to_us = time_ns() // 1_000
        self.report.cpu_share = (process_time_ns() - cpu_ns) / (perf_counter_ns() - began_ns)
        self._sending = False
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                while self._in_flight:
                    await asyncio.sleep(5 * TICK_S)
        self.report.failed += self._in_flight
        self._in_flight = 0
        for sender in list(self._senders):
            sender.close()
        self.report.accept = Histogram.of(self._accept_us).encode()
        return self.report

    async def _closed(self, began_ns: int) -> None:
        for sender in self._free:
            sender.send()
        while self._goes_on(began_ns):
            await asyncio.sleep(5 * TICK_S)

    async def _open(self, began_ns: int) -> None:
        due = 0
        while self._goes_on(began_ns):
            planned = round((perf_counter_ns() - began_ns) / 1e9 * self._job.rate)
            for _ in range(planned - due):
                if self._free:
                    self._free.pop().send()
                else:
                    self.report.unsent += 1
            due = planned
            await asyncio.sleep(TICK_S)

    def stop(self) -> None:
        """Send no more."""
        self._sending = False

    def _goes_on(self, began_ns: int) -> bool:
        over = perf_counter_ns() - began_ns >= self._job.seconds * 1e9
        return self._sending and not over

    def accepted(self, sender: Sender, took_ns: int) -> None:
        """A request was accepted."""
        self._in_flight -= 1
        self.report.accepted += 1
        self._accept_us.append(took_ns // 1_000)
        if self._job.requests_max and self.report.accepted >= self._job.requests_max:
            self.stop()
        self._again(sender)

    def refused(self, sender: Sender, status: int, retry_after: bytes | None) -> None:
        """A request was not accepted."""
        self._in_flight -= 1
        if status not in (429, 503):
            self.report.failed += 1
            self._again(sender)
            return
        self.report.refused += 1
        self.report.refused_without_retry_after += retry_after is None
        if self._job.rate:
            self._free.append(sender)
        else:
            pause_s = float(retry_after) if retry_after and retry_after.isdigit() else 1.0
            asyncio.get_running_loop().call_later(pause_s, self._again, sender)

    def lost(self, sender: Sender) -> None:
        """A connection was closed; what it had sent will not be answered."""
        if sender.busy:
            self._in_flight -= 1
            self.report.failed += 1
        self._senders.discard(sender)
        with suppress(ValueError):
            self._free.remove(sender)

    def _again(self, sender: Sender) -> None:
        if self._job.rate:
            self._free.append(sender)
        elif self._sending and sender in self._senders:
            sender.send()


def _prebuilt(job: LightJob) -> tuple[bytes, list[bytes]]:
    """The head of a request up to its key, and the rest; whole requests when there is no key."""
    scenario = scenarios.load(job.scenario)
    heads = [
        (
            f"POST /hooks/{endpoint} HTTP/1.1\r\nhost: {job.host}:{job.port}\r\nuser-agent: meshproof\r\n"
            f"content-type: {scenario.content_type}\r\n"
        ).encode()
        for endpoint in job.endpoint.split(",")
    ]
    tails = []
    for index in range(BODIES):
        body = scenario.payload(0, index)
        tails.append(b"content-length: %d\r\n\r\n%b" % (len(body), body))
    if job.namespace is None:
        return b"", [head + tail for head, tail in zip(cycle(heads), tails, strict=False)]
    return heads[0] + b"webhook-id: ", [b"\r\n" + tail for tail in tails]


async def main() -> None:
    """Take a job on standard input, report on standard output."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=LightJob)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))
    light = Light(job)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, light.stop)
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(await light.run()) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
