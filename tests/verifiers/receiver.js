// A receiver of webhooks that verifies them with the package `standardwebhooks` of npm, as a shop in Node would. It does
// what receiver.py does. The first argument is where the package is installed.
const http = require("node:http");
const path = require("node:path");
const { createRequire } = require("node:module");

const { Webhook, WebhookVerificationError } = createRequire(path.resolve(process.argv[2], "here.js"))("standardwebhooks");

const secrets = [];
const seen = [];

function verify(headers, body) {
  const verifiedBy = [];
  let error = null;
  secrets.forEach((secret, number) => {
    try {
      new Webhook(secret).verify(body, headers);
      verifiedBy.push(number);
    } catch (refused) {
      if (!(refused instanceof WebhookVerificationError)) throw refused;
      error = refused.message;
    }
  });
  return { verifiedBy, error };
}

function receive(request, body) {
  if (request.method === "GET") return [200, seen];
  if (request.url === "/secrets") {
    secrets.push(body.toString());
    return [200, null];
  }
  const { verifiedBy, error } = verify(request.headers, body);
  seen.push({
    id: request.headers["webhook-id"],
    signatures: (request.headers["webhook-signature"] ?? "").split(" ").length,
    replay: request.headers["trastienda-replay"] ?? null,
    verified_by: verifiedBy,
    error,
    data: verifiedBy.length > 0 ? JSON.parse(body).data : null,
  });
  return [verifiedBy.length > 0 ? 200 : 401, { error }];
}

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const [status, document] = receive(request, Buffer.concat(pieces));
    response.writeHead(status).end(JSON.stringify(document));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
