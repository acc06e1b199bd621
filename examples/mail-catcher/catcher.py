#!/usr/bin/python3
"""A real SMTP server that keeps what it is sent, with a page to read it. For tests, the demonstration and a laptop.

    catcher.py [--smtp 127.0.0.1:2525] [--http 127.0.0.1:8025] [--keep DIRECTORY]
               [--certificate CERT.pem --key KEY.pem [--login USER:PASSWORD]]

Port 0 takes a free one. Once both listen, one line of JSON on standard output says where:
{"smtp": "127.0.0.1:…", "http": "127.0.0.1:…"}. GET / is the page, GET /messages the mails as JSON, the newest first,
DELETE /messages forgets them. Nothing is sent on, and nothing is on disk unless `--keep` names a directory, which gets each
mail as it came (0001.eml, 0002.eml, …). With a certificate it takes mail over STARTTLS only, with a login only from who
knows it. SIGTERM ends it.
"""

import argparse
import html
import json
import pathlib
import signal
import ssl
import threading
from datetime import datetime, timezone
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class Mailbox:
    """The mails that came, behind one lock."""

    def __init__(self, directory=None):
        self._mails = []
        self._lock = threading.Lock()
        self._directory = directory
        self._count = 0

    async def handle_DATA(self, server, session, envelope):
        """Called by the SMTP server with each mail."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        mail = {
            "received_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "envelope_from": envelope.mail_from,
            "envelope_to": envelope.rcpt_tos,
            "from": str(message["from"] or ""),
            "to": str(message["to"] or ""),
            "subject": str(message["subject"] or ""),
            "message_id": str(message["message-id"] or "").strip(),
            "text": part(message, "plain"),
            "html": part(message, "html"),
            "attachments": [item.get_filename() for item in message.iter_attachments()],
        }
        with self._lock:
            self._mails.append(mail)
            self._count += 1
            if self._directory:
                (self._directory / f"{self._count:04}.eml").write_bytes(envelope.content)
        return "250 Message accepted for delivery"

    def all(self):
        """The mails, the newest first."""
        with self._lock:
            return list(reversed(self._mails))

    def clear(self):
        """Forgets them."""
        with self._lock:
            self._mails.clear()


def part(message, kind):
    """The message's text of a kind, if it has one."""
    body = message.get_body(preferencelist=(kind,))
    return body.get_content() if body is not None else None


PAGE = """<!doctype html>
<html lang="es"><head><meta charset="utf-8"><title>Correos</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #faf8f5 }}
article {{ background: #fff; border: 1px solid #ddd; border-radius: 8px; padding: 1rem; margin: 1rem 0 }}
h2 {{ margin: 0 0 .25rem; font-size: 1.1rem }} p {{ margin: 0; color: #666 }}
iframe {{ width: 100%; height: 24rem; border: 0; margin-top: 1rem }} pre {{ white-space: pre-wrap }}
</style></head><body><h1>Correos recibidos: {count}</h1>{mails}</body></html>"""

MAIL = """<article><h2>{subject}</h2><p>De {sender} para {to}, {received_at}</p>{body}</article>"""


def page(mails):
    """The page; each mail's HTML is shown in a frame that runs nothing."""
    shown = []
    for mail in mails:
        if mail["html"]:
            body = f'<iframe sandbox title="Correo" srcdoc="{html.escape(mail["html"])}"></iframe>'
        else:
            body = f"<pre>{html.escape(mail['text'] or '')}</pre>"
        fields = {name: html.escape(mail[name]) for name in ("subject", "to", "received_at")}
        shown.append(MAIL.format(sender=html.escape(mail["from"]), body=body, **fields))
    return PAGE.format(count=len(mails), mails="".join(shown) or "<p>Todavía no llegó ninguno.</p>")


def handler(mailbox):
    """The page's request handler."""

    class Handler(BaseHTTPRequestHandler):
        """Answers the page and the list."""

        def do_GET(self):
            if self.path == "/messages":
                self.answer(200, "application/json", json.dumps({"data": mailbox.all()}))
            elif self.path == "/":
                self.answer(200, "text/html; charset=utf-8", page(mailbox.all()))
            else:
                self.answer(404, "text/plain; charset=utf-8", "No hay nada acá.\n")

        def do_DELETE(self):
            if self.path == "/messages":
                mailbox.clear()
                self.answer(204, "text/plain", "")
            else:
                self.answer(404, "text/plain; charset=utf-8", "No hay nada acá.\n")

        def answer(self, status, kind, text):
            """Writes an answer."""
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Says nothing: addresses do not belong in a log."""

    return Handler


class ProbedController(Controller):
    """A controller that can be given port 0."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def security(options):
    """What the SMTP server is told about TLS and logins."""
    if not options.certificate:
        return {}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate, options.key)
    told = {"tls_context": context, "require_starttls": True}
    if options.login:
        user, _, password = options.login.partition(":")
        expected = LoginPassword(user.encode(), password.encode())

        def check(server, session, envelope, mechanism, given):
            return AuthResult(success=given == expected, handled=False)

        told |= {"authenticator": check, "auth_required": True}
    return told


def address(text):
    """`HOST:PORT` in its two parts."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def main():
    """Runs both servers until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="An SMTP server that keeps what it is sent, with a page to read it.")
    parser.add_argument("--smtp", type=address, default=("127.0.0.1", 2525))
    parser.add_argument("--http", type=address, default=("127.0.0.1", 8025))
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--login")
    options = parser.parse_args()

    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    mailbox = Mailbox(options.keep)
    smtp = ProbedController(mailbox, hostname=options.smtp[0], port=options.smtp[1], **security(options))
    smtp.start()
    web = ThreadingHTTPServer(options.http, handler(mailbox))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    ready = {"smtp": f"{options.smtp[0]}:{smtp.port}", "http": f"{options.http[0]}:{web.server_address[1]}"}
    print(json.dumps(ready), flush=True)

    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    over.wait()
    web.shutdown()
    smtp.stop()


if __name__ == "__main__":
    main()
