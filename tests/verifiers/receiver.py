"""A receiver of webhooks that verifies them with the package `standardwebhooks` of PyPI, as a shop in Python would.

POST /secrets adds a secret; GET /seen tells what came to any other path. A webhook is answered with 200 if the package
verifies it with one of the secrets, and with 401 otherwise.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

secrets, seen = [], []


def verify(headers, body):
    verified_by, error = [], None
    for number, secret in enumerate(secrets):
        try:
            Webhook(secret).verify(body, headers)
            verified_by.append(number)
        except WebhookVerificationError as refused:
            error = str(refused)
    return verified_by, error


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, seen)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/secrets":
            secrets.append(body.decode())
            return self.answer(200, None)
        headers = {name.lower(): value for name, value in self.headers.items()}
        verified_by, error = verify(headers, body)
        seen.append(
            {
                "id": headers.get("webhook-id"),
                "signatures": len(headers.get("webhook-signature", "").split()),
                "replay": headers.get("trastienda-replay"),
                "verified_by": verified_by,
                "error": error,
                "data": json.loads(body).get("data") if verified_by else None,
            }
        )
        self.answer(200 if verified_by else 401, {"error": error})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
