"""Receivers to send alerts to: an HTTP server that answers as a test says, a mail server with STARTTLS."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import email
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: Rules by which each bad answer is an alert of its touchpoint.
DETRACTORS = """version = 1
fallback_owner = "customer-experience"

[[rules]]
id = "detractor"
metric = "nps"
detector = "event"
scope = ["touchpoint"]
severity = { error = 0 }
route = "default"
runbook = "docs/alerts.md"
"""


def to_hook(url: str, more: str = "") -> str:
    """Routes that send everything to a webhook of this machine; `more` are further lines of the one route."""
    return f"""allowed_hosts = ["127.0.0.1"]
[receivers.hook]
type = "webhook"
url = "{url}"
key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[routes.default]
receivers = ["hook"]
{more}
"""


@dataclass
class Taken:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.time)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass
class Inbox:
    """What came, and what is answered: the statuses in turn (with Retry-After), then 200."""

    url: str = ""
    taken: list[Taken] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Takes any request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.taken.append(Taken(request.path, headers, await request.read()))
        status, more = self.answers.pop(0) if self.answers else (200, {})
        return web.Response(status=status, headers=more)


@asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    """An HTTP receiver on a free port of this machine."""
    made = Inbox()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


@dataclass
class Letterbox:
    """The mails that a server took, whether each came over TLS, and who had logged in."""

    port: int = 0
    ca_file: Path = Path()
    mails: list[Message] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        """As much of SMTP as a client needs: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, QUIT."""
        secure = False

        async def say(line: bytes) -> None:
            writer.write(line + b"\r\n")
            await writer.drain()

        await say(b"220 test ESMTP")
        while line := (await reader.readline()).strip():
            verb = line.split()[0].upper()
            if verb == b"EHLO":
                more = b"250-AUTH PLAIN\r\n" if secure else b"250-STARTTLS\r\n"
                writer.write(b"250-test\r\n" + more)
                await say(b"250 8BITMIME")
            elif verb == b"STARTTLS":
                await say(b"220 go ahead")
                await writer.start_tls(context)
                secure = True
            elif verb == b"AUTH":
                self.users.append(base64.b64decode(line.split()[2]).split(b"\0")[1].decode())
                await say(b"235 ok")
            elif verb == b"DATA":
                await say(b"354 go on")
                data = await reader.readuntil(b"\r\n.\r\n")
                answer = self.answers.pop(0) if self.answers else b"250 taken"
                if answer.startswith(b"2"):
                    self.mails.append(email.message_from_bytes(data[:-5].replace(b"\r\n..", b"\r\n.")))
                    self.secure.append(secure)
                await say(answer)
            elif verb == b"QUIT":
                await say(b"221 bye")
                break
            else:
                await say(b"250 ok")
        writer.close()


@asynccontextmanager
async def letterbox(folder: Path) -> AsyncIterator[Letterbox]:
    """A mail server on a free port, with a certificate of its own for `localhost`."""
    made = Letterbox(ca_file=folder / "ca.pem")
    context = _certified(folder, made.ca_file)
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await made.talk(reader, writer, context)
        talks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def _certified(folder: Path, ca_file: Path) -> ssl.SSLContext:
    """A server context with a fresh certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, secret)
    return context


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 30.0) -> None:
    """Waits until something holds; fails after the deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert asyncio.get_running_loop().time() < deadline, "it did not come to hold in time"
        await asyncio.sleep(0.05)
