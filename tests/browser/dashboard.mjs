// Every page of the dashboard in a real browser, and what each is for: prints `ok`, or everything that was wrong.
//
// node dashboard.mjs HUB ADMIN_TOKEN PROJECT KEY PROFILE
//
// SCREENSHOTS=directory keeps pictures; KEEP_GOING=1 goes on after the first thing that is wrong.

import assert from 'node:assert/strict';
import { Api, CUSTOMER, fill, receiver, until } from './shop.mjs';
import { Watched, start } from './watched.mjs';

const [hub, token, project, key, profile] = process.argv.slice(2);
const catcher = await receiver();
const admin = new Api(hub, { authorization: `Bearer ${token}` });
const shop = await fill(hub, admin, key, catcher);
const here = `/shops/${project}`;
const browser = await start(profile);
await browser.defaultBrowserContext().overridePermissions(hub, ['clipboard-read', 'clipboard-write', 'clipboard-sanitized-write']);
const b = await Watched.open(browser, hub);
const { page } = b;

const stories = {
  async 'whoever has no session is asked for one, and a wrong token is refused'() {
    await b.go(here);
    assert.match(page.url(), /\/login\?to=/);
    await b.check();
    await page.type('#secret', 'wrong-token-wrong-token-wrong-token-1234');
    await b.expecting(/401/, () => b.press('Entrar'));
    await b.expectText('no son correctos');
    // By the keyboard alone.
    await page.focus('#secret');
    await page.keyboard.type(token);
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    assert.equal(new URL(page.url()).pathname, here);
  },

  async 'the first page shows every shop, what needs somebody, and the day in charts'() {
    await b.go('/');
    await b.expectText('rechazados tras aceptarse');
    await page.waitForSelector('#charts svg rect.good');
    assert.equal((await page.$$('#charts figure')).length, 5);
    await b.check('overview: light dark phone');
    await page.click('details summary');
    await page.type('#new-name', 'Tienda de prueba');
    await page.type('#new-domain', 'prueba.example.com');
    await page.select('#new-mode', 'test');
    await b.press('Crear y mostrar su clave');
    const shown = await page.$eval('#secret', (secret) => secret.textContent);
    assert.match(shown, /^tk_test_/);
    await (await b.find('Copiar')).click();
    assert.equal(await until('it is copied', () => page.evaluate(() => navigator.clipboard.readText())), shown);
    await b.check();
  },

  async 'by the keyboard everything is reached, and what has the focus is seen'() {
    await b.go('/');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await b.go('/');
    const reachable = await page.$$eval('a[href], button, summary', (all) => all.filter((one) => one.checkVisibility()).length);
    const reached = new Set();
    for (let n = 0; n < reachable + 20; n += 1) {
      await page.keyboard.press('Tab');
      const focus = await page.evaluate(() => {
        const one = document.activeElement;
        const style = getComputedStyle(one);
        one.dataset.reached ??= String(Math.random());
        return { id: one.dataset.reached, tag: one.tagName, isSeen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
      });
      if (focus.tag === 'BODY') break;
      assert.ok(focus.isSeen, `the focus is not seen on a ${focus.tag}`);
      reached.add(focus.id);
    }
    assert.ok(reached.size >= reachable, `${reached.size} of ${reachable} are reached`);
  },

  async 'an event is found, its payload is masked until asked for, and a delivery goes again'() {
    await b.go(here);
    await b.expectText('order.created');
    await b.check();
    await b.go(`${here}/events`);
    await b.check();
    await page.type('#type', 'order.created');
    await page.type('#order_id', 'A-1001');
    await b.press('Buscar');
    await Promise.all([page.waitForNavigation(), page.click('main table a')]);
    let text = await b.text();
    assert.ok(text.includes('A-1001') && !text.includes(CUSTOMER.email) && !text.includes(CUSTOMER.name), text);
    await b.check('event: light');
    await b.press('Mostrar datos personales');
    text = await b.text();
    assert.ok(text.includes(CUSTOMER.email) && text.includes('Siempreviva'), text);
    await b.go(`${here}/events/${shop.hostile}`);
    await b.press('Mostrar datos personales');
    await b.check();
    await b.go(`${here}/deliveries?status=failed`);
    await b.expectText('503');
    await b.check();
    const before = catcher.received.length;
    await b.go(`${here}/deliveries/${shop.failed}`);
    assert.match(await page.$eval('#curl', (command) => command.textContent), /^curl /);
    await b.check('delivery: light');
    await b.press('Enviar de nuevo');
    await b.expectText('Se envía de nuevo.');
    await until('it is sent again', () => catcher.received.length > before);
  },

  async 'an endpoint is tested, replayed on trial, given another secret'() {
    await b.go(`${here}/endpoints`);
    await b.check();
    await b.go(`${here}/endpoints/${shop.endpoint}`);
    await b.check('endpoint: light');
    const before = catcher.received.length;
    await b.press('Enviar una prueba');
    await b.expectText('Se envió un evento de prueba.');
    await until('the test arrives', () => catcher.received.slice(before).some((one) => one.body.includes('webhook.test')));
    await page.select('#status', 'all');
    await b.press('Ensayar: solo contar');
    await b.expectText('Ensayo: no se envió nada.');
    await b.press('Hacer un secreto nuevo');
    assert.match(await page.$eval('#secret', (secret) => secret.textContent), /^whsec_/);
  },

  async 'a mail is shown as it looks, without running anything, and one that waits is cancelled'() {
    await b.go(`${here}/notifications?channel=email`);
    await b.check();
    await b.go(`${here}/notifications/${shop.mail}`);
    assert.ok(!(await b.text()).includes(CUSTOMER.email));
    await b.check();
    await b.press('Mostrar el mensaje');
    const frame = await (await page.waitForSelector('iframe.mail')).contentFrame();
    await frame.waitForSelector('body');
    assert.ok((await frame.$eval('body', (body) => body.innerText)).length > 50);
    await b.check();
    b.hostile = shop.hostileMail;
    await b.go(`${here}/notifications/${shop.hostileMail}`);
    await b.press('Mostrar el mensaje');
    const evil = await (await page.waitForSelector('iframe.mail')).contentFrame();
    await evil.waitForSelector('body');
    await (await evil.$('a'))?.click();
    await until('what it tries is refused', () => b.blocked > 0);
    assert.equal(await page.evaluate(() => window.hostile), undefined);
    await b.go(`${here}/notifications/${shop.later}`);
    await b.press('Cancelar');
    await b.expectText('Se canceló');
  },

  async 'the queue of WhatsApp messages is tapped through'() {
    await b.go(`${here}/whatsapp`);
    await b.check('whatsapp: phone');
    const links = await page.$$eval('.taps a.primary', (all) => all.map((one) => one.href));
    assert.equal(links.length, 2);
    assert.ok(links.every((link) => link.startsWith(hub)), links.join());
    // A tap is noted when the link is opened; where it leads is WhatsApp's.
    const opened = await fetch(links[0], { redirect: 'manual' });
    assert.equal(opened.status, 302);
    assert.match(opened.headers.get('location'), /^https:\/\/wa\.me\//);
    await page.waitForFunction(() => document.querySelectorAll('.taps li').length === 1);
    await b.press('Cancelar');
    await b.expectText('No queda ninguno por enviar.');
  },

  async 'a template is edited beside its preview, saved, activated and compared'() {
    await b.go(`${here}/templates`);
    await b.check();
    const save = async (subject) => {
      await b.go(`${here}/templates/order_confirmation`);
      const preview = await (await page.waitForSelector('iframe[name=preview]')).contentFrame();
      await preview.waitForSelector('body.preview');
      await b.fill('#subject', subject);
      await until('the preview follows', async () => {
        const frame = page.frames().find((one) => one.name() === 'preview');
        return (await frame?.$eval('body', (body) => body.innerText).catch(() => ''))?.includes(subject);
      });
      await b.check('template: light dark');
      await b.press('Guardar como versión nueva');
      await b.expectText('v');
    };
    await save('Primera: gracias por tu compra');
    await b.go(`${here}/templates/order_confirmation`);
    await page.select('#order', 'A-1001');
    await until('the preview shows the real order', async () => {
      await (await b.find('Ver')).click();
      const frame = page.frames().find((one) => one.name() === 'preview');
      return (await frame?.$eval('body', (body) => body.innerText).catch(() => ''))?.includes('A-1001');
    });
    await save('Segunda: muchas gracias por tu compra');
    await b.go(`${here}/templates/order_confirmation?version=2&channel=email&from=1`);
    await page.waitForSelector('#diff .plus');
    assert.match(await page.$eval('#diff', (diff) => diff.innerText), /Segunda/);
    await b.check();
    await b.go(`${here}/templates/order_confirmation?version=2&channel=email`);
    await b.press('Activar esta versión');
    await b.expectText('Esa versión es ahora la activa.');
  },

  async 'payments are confirmed, given back, asked about; a case is closed with a note'() {
    await b.go(`${here}/payments`);
    await b.check();
    for (const payment of [shop.manual, shop.twice]) {
      await b.go(`${here}/payments/${payment}`);
      await b.check('payment: light');
      await page.type('#reference', 'TRANSF-1');
      await b.press('Confirmar');
      await b.expectText('Quedó confirmado.');
    }
    await page.waitForFunction(() => document.querySelector('main').innerText.includes('pagado'));
    await page.type('#amount', '500.00');
    await b.press('Devolver');
    await b.expectText('La devolución quedó pedida.');
    await b.go(`${here}/payments/${shop.checkout}`);
    await b.press('Preguntar al proveedor');
    await b.expectText('Se preguntó al proveedor.');
    await b.go(`${here}/cases?status=open`);
    await b.check();
    await page.type('main input[name=note]', 'se devuelve el segundo');
    await b.press('Cerrar el caso');
    await b.expectText('El caso quedó cerrado.');
  },

  async 'keys, limits and features are set, and all of it is in the audit log'() {
    await b.go(`${here}/settings`);
    await b.check();
    await b.fill('#events_per_day', '5000');
    await b.press('Guardar los límites');
    await b.expectText('Quedó guardado.');
    assert.equal(await page.$eval('#events_per_day', (field) => field.value), '5000');
    await b.press('Hacer una clave nueva');
    assert.match(await page.$eval('#secret', (secret) => secret.textContent), /^tk_(live|test)_/);
    await b.go(`${here}/audit`);
    for (const action of ['project.limits_set', 'key.rotated_with_grace', 'cases.close', 'templates.activate', 'events.reveal']) await b.expectText(action);
    await b.check();
    await b.go('/audit');
    await b.expectText('session.refused');
    await b.check();
  },

  async 'alerts are shown, tested, and turned off by kind'() {
    await b.go('/alerts');
    await b.check('alerts: light phone');
    await page.type('#email', 'guardia@example.com');
    await b.press('Guardar la dirección');
    await b.expectText('guardia@example.com');
    await b.press('Enviar una prueba');
    await b.expectText('La prueba sale ahora');
    await page.waitForFunction(() => document.querySelector('main').innerText.includes('Trastienda: prueba de alertas'));
    await b.press('No avisar Caso de pagos abierto');
    await b.expectText('Quedó guardado.');
    await b.find('Avisar Caso de pagos abierto');
  },

  async 'what was saved opens the rows behind each number'() {
    await b.go(`${here}/saved`);
    await b.check('saved: light');
    // The shop is of this month.
    assert.equal((await page.$$('main .facts')).length, 1);
    await Promise.all([page.waitForNavigation(), page.click('main .facts a')]);
    await page.waitForSelector('#behind');
    await b.expectText('A-KEPT');
  },

  async 'a page renews itself when something happened, and does not load again'() {
    await b.go(`${here}/events`);
    await page.waitForFunction(() => document.getElementById('live-state')?.textContent.startsWith('●'));
    await page.evaluate(() => { window.isTheSamePage = true; });
    await shop.api.post('/v1/events', { type: 'note.made', data: { order_id: 'EN-VIVO-1' } });
    await page.waitForFunction(() => document.querySelector('main').innerText.includes('EN-VIVO-1'));
    assert.equal(await page.evaluate(() => window.isTheSamePage), true);
  },

  async 'the language and the theme are kept, and everywhere is logged out'() {
    await b.go('/account');
    await b.check();
    await b.press('English');
    await b.expectText('Operators');
    await b.press('Español');
    await b.press('☾ Oscuro');
    assert.equal(await page.$eval('html', (html) => html.dataset.theme), 'dark');
    await page.type('#name', 'ana');
    await page.type('#password', 'una frase bastante larga');
    await b.press('Agregar, o cambiar su contraseña');
    await b.expectText('ana');
    await b.press('Quitar');
    await b.press('Salir en todas partes');
    assert.equal(new URL(page.url()).pathname, '/login');
    await b.go('/');
    assert.equal(new URL(page.url()).pathname, '/login');
  },
};

const failures = [];
for (const [name, story] of Object.entries(stories)) {
  try {
    await story();
    console.error(`done: ${name}`);
  } catch (error) {
    failures.push(`${name}: ${error.stack}`);
    console.error(`FAILED: ${name}: ${error.stack}`);
    if (process.env.KEEP_GOING === undefined) break;
  }
}
await browser.close();
catcher.close();
const wrong = [...failures, ...b.faults];
console.log(wrong.length === 0 ? `ok: ${b.seen.size} pages` : wrong.join('\n'));
process.exit(wrong.length === 0 ? 0 : 1);
