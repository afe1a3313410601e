"""Handing messages over [I/O]: HTTP and SMTP, guarded, with short limits; a receiver's fault is an answer, no error."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Collection, Sequence
from email.message import EmailMessage
from urllib.parse import urlsplit

import aiohttp
import aiosmtplib

from pipeline.alerts.addresses import Guard, Refused, Resolve, lookup
from pipeline.alerts.entries import Account, Notice
from pipeline.alerts.outbox import Answer
from pipeline.alerts.receivers import alertmanager, alertmanager_webhook, pagerduty, slack, stdout, teams, webhook
from pipeline.alerts.receivers import email as mails
from pipeline.alerts.receivers.call import Call, meaning
from pipeline.alerts.routes import Receiver
from pipeline.telemetry import log

#: A receiver that does not answer within this is tried again later (faults.md S7), seconds.
_LIMIT_S = 5.0
#: A mail server may look names up before it greets.
_MAIL_LIMIT_S = 15.0
#: SMTP: refused for good.
_NEVER = 500

_log = log("touchline.alerts")


class Posting:
    """Talks to receivers. `allowed`: hosts that may be called wherever they are, also without TLS."""

    def __init__(self, allowed: Collection[str], link: str = "", resolve: Resolve = lookup) -> None:
        self._allowed = allowed
        self._link = link
        self._guard = Guard(allowed, resolve)
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, receiver: Receiver, notice: Notice, now_ms: int) -> Answer:
        """One try; the answer of the first call that was not taken, else of the last."""
        if receiver.kind == "stdout":
            sys.stdout.write(stdout.line(notice) + "\n")
            sys.stdout.flush()
            return Answer("sent", "written")
        if receiver.kind == "email":
            return await self._mail(receiver, mails.mail(receiver, notice, self._link))
        answer = Answer("sent", "nothing to say")
        for call in self._calls(receiver, notice, now_ms):
            answer = await self._post(call, now_ms)
            if answer.fate != "sent":
                break
        return answer

    async def refresh(self, receiver: Receiver, accounts: Sequence[Account], now_ms: int) -> None:
        """Says to an Alertmanager again what fires; a failure is logged and mended by the next time."""
        for call in alertmanager.calls(receiver, accounts, self._link, now_ms):
            answer = await self._post(call, now_ms)
            if answer.fate != "sent":
                _log.warning("not told again what fires", receiver=receiver.name, reason=answer.said)

    async def close(self) -> None:
        """Lets the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _calls(self, receiver: Receiver, notice: Notice, now_ms: int) -> Sequence[Call]:
        match receiver.kind:
            case "alertmanager":
                return alertmanager.calls(receiver, notice.accounts, self._link, now_ms)
            case "alertmanager-webhook":
                return alertmanager_webhook.calls(receiver, notice, self._link)
            case "pagerduty":
                return pagerduty.calls(receiver, notice, self._link)
            case "slack":
                return slack.calls(receiver, notice, self._link)
            case "teams":
                return teams.calls(receiver, notice, self._link)
            case "webhook":
                return webhook.calls(receiver, notice, now_ms)
        raise ValueError(f"no receiver of kind {receiver.kind}")

    async def _post(self, call: Call, now_ms: int) -> Answer:
        """One POST: addresses judged, redirects not followed, the body of the answer left unread."""
        url = urlsplit(call.url)
        host = url.hostname or ""
        try:
            if url.scheme != "https" and host.lower() not in self._allowed:
                raise Refused(f"{host} is to be called without TLS: use https://, or name the host in allowed_hosts")
            # aiohttp asks no resolver for an address that stands in the URL, so it is judged here first.
            await self._guard.addresses(host, url.port or 443)
            async with self._opened().post(
                call.url, data=call.body, headers=dict(call.headers), allow_redirects=False
            ) as response:
                return meaning(response.status, response.headers.get("Retry-After", ""), now_ms)
        except Refused as error:
            return Answer("refused", str(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            refused = _refused(error)
            return Answer("refused", str(refused)) if refused else Answer("again", f"{host}: {type(error).__name__}")

    async def _mail(self, receiver: Receiver, message: EmailMessage) -> Answer:
        """One mail over STARTTLS (unless the routes say `starttls = false`), to a judged address."""
        fields = receiver.fields
        host, port = str(fields["host"]), int(fields.get("port", 587))
        try:
            async with asyncio.timeout(_MAIL_LIMIT_S):
                connection = await self._connected(host, port)
                client = aiosmtplib.SMTP(
                    hostname=host,
                    sock=connection,
                    username=fields.get("user"),
                    password=fields.get("password"),
                    start_tls=bool(fields.get("starttls", True)),
                    tls_context=ssl.create_default_context(cafile=fields.get("ca_file")),
                    timeout=_LIMIT_S,
                    local_hostname="touchline",
                )
                async with client:
                    await client.send_message(message)
            return Answer("sent", "taken by the mail server")
        except Refused as error:
            return Answer("refused", str(error))
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refusal.code for refusal in error.recipients]
            fate = "refused" if codes and min(codes) >= _NEVER else "again"
            return Answer(fate, f"{host}: recipients refused ({', '.join(map(str, codes))})")
        except aiosmtplib.SMTPAuthenticationError as error:
            return Answer("again", f"{host}: user or password not taken ({error.code})")
        except aiosmtplib.SMTPResponseException as error:
            return Answer("refused" if error.code >= _NEVER else "again", f"{host}: answered {error.code}")
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            return Answer("again", f"{host}: {type(error).__name__}")

    async def _connected(self, host: str, port: int) -> socket.socket:
        """A connection to the first judged address that takes one."""
        last: OSError = OSError("no address")
        for address in await self._guard.addresses(host, port):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = socket.socket(family, socket.SOCK_STREAM)
            made.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(made, (address, port))
                return made
            except OSError as error:
                made.close()
                last = error
        raise last

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=self._guard, use_dns_cache=False, limit_per_host=2),
                timeout=aiohttp.ClientTimeout(total=_LIMIT_S),
                headers={"user-agent": "touchline"},
                trust_env=False,
            )
        return self._session


def _refused(error: BaseException | None) -> Refused | None:
    """The refusal inside an error of aiohttp: a name may have changed its address since it was judged."""
    while error is not None:
        if isinstance(error, Refused):
            return error
        error = error.__cause__ or error.__context__
    return None
