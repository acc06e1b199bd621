// What the shops of the dashboard's tests say to the hub, by its API: something of everything that a page shows.

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';

export class Api {
  constructor(hub, headers) {
    this.hub = hub;
    this.headers = headers;
  }

  async call(method, path, body, more = {}) {
    const headers = { 'content-type': 'application/json', ...this.headers, ...more };
    const answer = await fetch(this.hub + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  get(path) { return this.call('GET', path); }
  post(path, body, more) { return this.call('POST', path, body, more); }
}

// Asks until there is an answer; a condition is waited for, never a time.
export const until = async (what, ask, patience = 60_000) => {
  const deadline = Date.now() + patience;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((done) => { setTimeout(done, 100); });
  }
};

// A receiver that takes everything on /ok and nothing on /down.
export const receiver = () => new Promise((done) => {
  const received = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => {
      received.push({ path: request.url, headers: request.headers, body });
      response.statusCode = request.url.startsWith('/down') ? 503 : 200;
      response.end(request.url.startsWith('/down') ? 'cerrado por reformas' : 'ok');
    });
  });
  server.listen(0, '127.0.0.1', () => {
    done({ url: `http://127.0.0.1:${server.address().port}`, received, close: () => server.close() });
  });
});

export const HOSTILE = '<img src=x onerror="window.hostile=1"><script>window.hostile=1</script>"\'><svg/onload=window.hostile=1>';
export const CUSTOMER = { name: 'Ana Pérez', email: 'ana.perez@cliente.example.com', phone: '+5491155551234' };

const order = (id, total = '18500.00') => ({
  order_id: id, customer: CUSTOMER, total, currency: 'ARS', shipping: { address: 'Av. Siempreviva 742' },
  items: [{ sku: 'M-1', name: 'Mate de calabaza', quantity: 1, price: total }],
});

// A shop with something of everything; the ids of what a test acts upon.
export const fill = async (hub, admin, key, catcher) => {
  const api = new Api(hub, { 'x-api-key': key });
  const shop = {};
  shop.endpoint = (await api.post('/v1/webhook-endpoints', { url: `${catcher.url}/ok`, events: ['*'], description: 'La tienda' })).id;
  shop.down = (await api.post('/v1/webhook-endpoints', {
    url: `${catcher.url}/down`, events: ['order.created'], description: HOSTILE, retry_schedule: [],
  })).id;
  for (let n = 1001; n < 1013; n += 1) {
    const event = await api.post('/v1/events', { type: 'order.created', data: order(`A-${n}`, `${n}0.00`) });
    shop.event ??= event.id;
  }
  shop.hostile = (await api.post('/v1/events', { type: 'note.made', data: { order_id: HOSTILE, [HOSTILE]: HOSTILE } })).id;
  // Nobody's order: acknowledged by an agent, and refused by the rules.
  const now = new Date().toISOString();
  await api.post('/v1/batch', { operations: [{ kind: 'event', id: newId('evt'), accepted_at: now, body: { type: 'Not A Type', data: {} } }] });

  // Made three minutes ago, and kept until now: as after an outage.
  const old = newId('evt', Date.now() - 180_000);
  await api.post('/v1/batch', { operations: [{ kind: 'event', id: old, accepted_at: now, body: { type: 'order.created', data: order('A-KEPT') } }] });

  const mail = { channel: 'email', to: CUSTOMER.email, template: 'order_confirmation', order_id: 'A-1001' };
  const sample = (await api.get('/v1/templates/order_confirmation')).sample;
  shop.mail = (await api.post('/v1/notifications', { ...mail, data: sample })).id;
  const later = new Date(Date.now() + 86_400_000).toISOString();
  shop.later = (await api.post('/v1/notifications', { ...mail, data: sample, send_at: later })).id;
  shop.hostileMail = (await api.post('/v1/notifications', {
    channel: 'email', to: CUSTOMER.email, subject: HOSTILE, html: `<a href="javascript:window.top.hostile=1">x</a>${HOSTILE}`, text: HOSTILE,
  })).id;
  for (const [to, text] of [['+5491155551234', 'Tu pedido A-1001 está listo'], ['+5491155554321', HOSTILE]]) {
    shop.whatsapp = (await api.post('/v1/notifications', { channel: 'whatsapp', to, text, order_id: 'A-1001' })).id;
  }
  const pay = (order_id, method, more = {}) => api.post('/v1/payments', {
    order_id, amount: '18500.00', currency: 'ARS', description: 'Mate de calabaza', method, payer: { email: CUSTOMER.email }, ...more,
  }, { 'idempotency-key': randomUUID() });
  shop.manual = (await pay('A-1001', 'manual')).id;
  shop.twice = (await pay('A-1001', 'manual')).id;
  shop.checkout = (await pay('A-1002', 'checkout')).id;
  await api.post('/v1/agent/heartbeat', { agent_id: 'agente-1', status: { hub: 'up', buffered: 3, oldest_seconds: 4, dead_letters: 1, disk_bytes: 81_920, version: '0.1.0' } });
  await until('the failing endpoint has failed', async () => {
    const list = await api.get(`/v1/webhook-deliveries?endpoint=${shop.down}&status=failed`);
    shop.failed = list.data[0]?.id;
    return list.data.length >= 13;
  });
  await until('the mail is sent', async () => (await api.get(`/v1/notifications/${shop.mail}`)).status === 'sent');
  shop.delivery = (await api.get(`/v1/webhook-deliveries?endpoint=${shop.endpoint}&event_type=order.created`)).data[0].id;
  return { api, ...shop };
};

// A UUIDv7 of now with a prefix, as whoever makes a call makes its id.
export const newId = (prefix, at = Date.now()) => {
  const time = at.toString(16).padStart(12, '0');
  const random = randomUUID().replaceAll('-', '');
  return `${prefix}_${time}7${random.slice(13)}`;
};
