// The official Node SDK, unchanged, against the simulator: `mercadopago_sdk.cjs PACKAGE URL ACCESS_TOKEN`.
// Only its address is another. Prints `ok`; anything else is a failure, and exits 1.

const assert = require('node:assert/strict');

const [place, url, accessToken] = process.argv.slice(2);
const { AppConfig } = require(`${place}/dist/utils/config`);
const { MercadoPagoConfig, CardToken, Payment, PaymentRefund, Preference } = require(place);

AppConfig.BASE_URL = url;

const config = () => new MercadoPagoConfig({ accessToken, options: { timeout: 10_000 } });
const payer = { email: 'ana@example.com', identification: { type: 'DNI', number: '12345678' } };

async function card(holder) {
  const body = {
    card_number: '4509953566233704', expiration_month: '11', expiration_year: '2030', security_code: '123',
    cardholder: { name: holder },
  };
  return (await new CardToken(config()).create({ body })).id;
}

async function charge(holder, reference, requestOptions) {
  const body = {
    transaction_amount: 100.5, token: await card(holder), installments: 1, payment_method_id: 'visa',
    external_reference: reference, payer,
  };
  return new Payment(config()).create({ body, requestOptions });
}

async function refused(status, code, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.status, status, JSON.stringify(error));
    if (code) assert.ok(code.includes(Number(error.causes?.[0]?.code)) || code.includes(error.error), JSON.stringify(error));
    return;
  }
  assert.fail(`was not refused with ${status}`);
}

async function main() {
  const payments = new Payment(config());
  const refunds = new PaymentRefund(config());
  const preferences = new Preference(config());

  // Cards: approved, rejected (which is no error), repeated under the same key.
  const paid = await charge('APRO', 'sdk-js-1');
  assert.deepEqual([paid.status, paid.status_detail, paid.transaction_amount], ['approved', 'accredited', 100.5]);
  assert.ok(Number.isSafeInteger(paid.id));
  const declined = await charge('FUND', 'sdk-js-1');
  assert.deepEqual([declined.status, declined.status_detail], ['rejected', 'cc_rejected_insufficient_amount']);
  const first = await charge('APRO', 'sdk-js-2', { idempotencyKey: 'sdk-js-key' });
  const again = await charge('APRO', 'sdk-js-2', { idempotencyKey: 'sdk-js-key' });
  assert.deepEqual([again.id, again.api_response.status], [first.id, 200]);

  // Read and search.
  assert.equal((await payments.get({ id: paid.id })).external_reference, 'sdk-js-1');
  const found = await payments.search({ options: { sort: 'date_created', criteria: 'desc', external_reference: 'sdk-js-1' } });
  assert.deepEqual(found.results.map((one) => one.status), ['rejected', 'approved']);

  // Refunds: a part, the rest, and one too many.
  const part = await refunds.create({ payment_id: paid.id, body: { amount: 40 } });
  assert.deepEqual([part.amount, part.status], [40, 'approved']);
  assert.equal((await refunds.total({ payment_id: paid.id })).amount, 60.5);
  assert.deepEqual((await refunds.list({ payment_id: paid.id })).map((one) => one.amount), [40, 60.5]);
  assert.equal((await refunds.get({ payment_id: paid.id, refund_id: part.id })).id, part.id);
  assert.equal((await payments.get({ id: paid.id })).status, 'refunded');
  await refused(400, [2063, 2017], () => refunds.create({ payment_id: paid.id, body: { amount: 1 } }));

  // A held card, captured; a ticket, cancelled.
  const body = { transaction_amount: 50, token: await card('APRO'), installments: 1, payment_method_id: 'visa', capture: false, payer };
  const held = await payments.create({ body });
  assert.equal(held.status, 'authorized');
  assert.equal((await payments.capture({ id: held.id })).status, 'approved');
  const ticket = await payments.create({ body: { transaction_amount: 1000, payment_method_id: 'rapipago', payer } });
  assert.equal(ticket.status, 'pending');
  const cancelled = await payments.cancel({ id: ticket.id });
  assert.deepEqual([cancelled.status, cancelled.status_detail], ['cancelled', 'by_collector']);
  await refused(400, [2018], () => payments.cancel({ id: ticket.id }));

  // Preferences.
  const made = await preferences.create({
    body: {
      items: [{ id: 'm', title: 'Mate', quantity: 2, unit_price: 10.25 }], external_reference: 'sdk-js-3',
      back_urls: { success: 'https://shop.example/ok' }, auto_return: 'approved',
    },
  });
  assert.ok(made.init_point && made.id.startsWith(`${made.collector_id}-`));
  assert.equal((await preferences.get({ preferenceId: made.id })).items[0].unit_price, 10.25);
  await preferences.update({ id: made.id, updatePreferenceRequest: { expires: true, expiration_date_to: '2020-01-01T00:00:00.000-04:00' } });
  const searched = await preferences.search({ options: { external_reference: 'sdk-js-3' } });
  assert.equal(searched.elements[0].id, made.id);
  await refused(400, ['invalid_auto_return'], () =>
    preferences.create({ body: { items: [{ id: 'x', title: 'x', quantity: 1, unit_price: 1 }], auto_return: 'approved' } }));

  // Errors; a 429 and a 500 are tried again by the SDK itself.
  await refused(404, [2000], () => payments.get({ id: 1 }));
  await refused(401, null, () => new Payment(new MercadoPagoConfig({ accessToken: 'APP_USR-nobody' })).get({ id: paid.id }));
  for (const fault of [{ kind: 'too_many_requests', retry_after: 1 }, { kind: 'server_error', status: 502 }]) {
    await fetch(`${url}/control/faults`, { method: 'POST', body: JSON.stringify({ ...fault, method: 'GET' }) });
    assert.equal((await payments.get({ id: paid.id })).id, paid.id);
  }
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
