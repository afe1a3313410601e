"""The proxy does to a connection what it says, and no more: the chaos tests count on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.faultproxy import FaultProxy

#: Longer than anything here takes on a busy machine.
_PATIENCE_S = 30.0
#: How long a test looks for an answer that is not to come.
_QUIET_S = 0.2


class Echo:
    """A server that answers each request by itself, but only when it is let."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.asked = threading.Semaphore(0)
        self.answers = threading.Semaphore(1_000)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                there, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(there,), daemon=True).start()

    def _serve(self, there: socket.socket) -> None:
        with there:
            try:
                while data := there.recv(1 << 16):
                    self.asked.release()
                    self.answers.acquire()
                    there.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.port, match=b"INSERT") as between:
        yield between


def connected(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=_PATIENCE_S)


def asked(proxy: FaultProxy, what: bytes) -> bytes:
    with connected(proxy) as here:
        return said(here, what)


def said(here: socket.socket, what: bytes) -> bytes:
    """What comes back; nothing where the connection is closed or reset."""
    try:
        here.sendall(what)
        return here.recv(1 << 16)
    except ConnectionError:
        return b""


def test_bytes_go_through_while_all_is_well(proxy: FaultProxy) -> None:
    assert asked(proxy, b"INSERT") == b"INSERT"
    assert proxy.dropped == 0


def test_cut_closes_the_open_connections_and_lets_no_new_one_in(proxy: FaultProxy) -> None:
    with connected(proxy) as here:
        assert said(here, b"one") == b"one"
        proxy.mode("cut")
        assert said(here, b"two") == b""
    assert asked(proxy, b"three") == b""
    proxy.mode("ok")
    assert asked(proxy, b"four") == b"four"


def test_hang_keeps_connections_open_and_gives_the_bytes_later(proxy: FaultProxy) -> None:
    with connected(proxy) as here:
        assert said(here, b"one") == b"one"
        proxy.mode("hang")
        here.sendall(b"two")
        here.settimeout(_QUIET_S)
        with pytest.raises(TimeoutError):
            here.recv(1 << 16)
        proxy.mode("ok")
        here.settimeout(_PATIENCE_S)
        assert here.recv(1 << 16) == b"two"


def test_drop_swallows_as_many_answers_as_asked_and_only_of_requests_that_match(echo: Echo, proxy: FaultProxy) -> None:
    proxy.mode("drop", 2)
    assert asked(proxy, b"SELECT") == b"SELECT"
    assert [asked(proxy, b"INSERT") for _ in range(3)] == [b"", b"", b"INSERT"]
    assert proxy.dropped == 2
    for _ in range(4):
        assert echo.asked.acquire(timeout=_PATIENCE_S), "the swallowed requests went through as well"


def test_an_answer_that_comes_when_all_is_well_again_is_not_swallowed(echo: Echo, proxy: FaultProxy) -> None:
    proxy.mode("drop", 1)
    assert asked(proxy, b"INSERT") == b""
    echo.asked.acquire()
    while echo.answers.acquire(blocking=False):
        pass  # from here on the server keeps its answers
    with connected(proxy) as here:
        here.sendall(b"INSERT again")
        assert echo.asked.acquire(timeout=_PATIENCE_S)
        proxy.mode("ok")
        echo.answers.release()
        assert here.recv(1 << 16) == b"INSERT again"
    assert proxy.dropped == 1
