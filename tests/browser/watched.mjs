// A browser that is watched: no error on the console, nothing that the policy of a page refuses, nothing that axe finds, and
// nothing wider than the screen, on any page that is opened.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// Where install.sh puts them.
const installed = createRequire(new URL('../../.browser/', import.meta.url));
const puppeteer = installed('puppeteer-core');
const axe = readFileSync(installed.resolve('axe-core/axe.min.js'), 'utf8');

export const PHONE = { width: 390, height: 844, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
export const DESK = { width: 1280, height: 860 };

export const start = async (profile) => puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, userDataDir: profile,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync', '--disable-dev-shm-usage', '--lang=es-AR'],
  // The machine may have other work.
  protocolTimeout: 300_000,
});

export class Watched {
  constructor(page, hub) {
    this.page = page;
    this.hub = hub;
    this.faults = [];
    // The thing whose page shows something hostile in a frame, and how often that was refused.
    this.hostile = null;
    this.blocked = 0;
    this.seen = new Set();
    this.expected = null;
  }

  static async open(browser, hub) {
    const page = await browser.newPage();
    const watched = new Watched(page, hub);
    page.setDefaultTimeout(Number(process.env.PATIENCE ?? 60_000));
    page.on('console', (said) => {
      if (said.type() === 'error' || said.type() === 'warn') watched.fault(`console: ${said.text()}`);
    });
    page.on('pageerror', (error) => watched.fault(`script: ${error.message}`));
    page.on('request', (request) => {
      if (!request.url().startsWith(hub) && !request.url().startsWith('data:') && request.url() !== 'about:blank') watched.fault(`asks elsewhere: ${request.url()}`);
    });
    await page.evaluateOnNewDocument(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
    await page.setViewport(DESK);
    await page.setExtraHTTPHeaders({ 'accept-language': 'es-AR,es;q=0.9' });
    return watched;
  }

  fault(what) {
    // What a hostile mail tries is refused, and the browser says so: that is as it should be.
    const isRefused = /Blocked script execution|violates the following Content Security Policy/.test(what);
    if (isRefused && this.hostile && this.page.url().includes(this.hostile)) { this.blocked += 1; return; }
    if (this.expected?.test(what)) return;
    this.faults.push(`${this.page.url().replace(this.hub, '')}: ${what}`);
  }

  // While this goes on, such faults are what is to be seen.
  async expecting(pattern, work) {
    this.expected = pattern;
    try { return await work(); } finally { this.expected = null; }
  }

  async go(path) {
    const answer = await this.page.goto(this.hub + path, { waitUntil: 'load' });
    if (!answer.ok()) this.fault(`answers ${answer.status()}`);
    await this.settle();
  }

  // What is fetched once a page is there has come.
  async settle() {
    await this.page.waitForFunction(() => !document.querySelector('.htmx-request') && !document.querySelector('.charts-place > p.muted'));
  }

  // Presses what has this name, and waits for the page that it leads to.
  async press(name, within = '') {
    const handle = await this.find(name, within);
    await Promise.all([this.page.waitForNavigation({ waitUntil: 'load' }), handle.click()]);
    await this.settle();
  }

  async find(name, within = '') {
    const selector = `${within} ::-p-aria([name="${name}"])`.trim();
    const handle = await this.page.waitForSelector(selector, { visible: true });
    if (!handle) throw new Error(`${this.page.url()} has no ${name}`);
    return handle;
  }

  async fill(selector, text) {
    await this.page.$eval(selector, (field) => { field.value = ''; });
    await this.page.type(selector, text);
  }

  text() { return this.page.$eval('main', (main) => main.innerText); }

  async expectText(text) {
    const seen = await this.text();
    if (!seen.includes(text)) throw new Error(`${this.page.url()} does not say "${text}" but:\n${seen}`);
  }

  // Everything that is looked at on each page, in both themes and at both widths. `kept`: as what it is photographed.
  async check(kept = null) {
    const path = new URL(this.page.url()).pathname.replaceAll(/_[0-9a-f]{32}/g, '_…');
    if (this.seen.has(path)) return;
    this.seen.add(path);
    for (const theme of ['light', 'dark']) {
      await this.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }, { name: 'prefers-reduced-motion', value: 'reduce' }]);
      await this.axe(theme);
      await this.photograph(kept, theme);
    }
    await this.page.emulateMediaFeatures([]);
    await this.page.setViewport(PHONE);
    const [content, screen] = await this.page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    if (content > screen) this.fault(`is ${content} wide on a phone of ${screen}`);
    await this.axe('phone');
    await this.photograph(kept, 'phone');
    await this.page.setViewport(DESK);
    if (await this.page.evaluate(() => window.hostile)) this.fault('what a shop wrote was run');
  }

  // Only where somebody wants pictures, and of this page in this way: `overview: light dark phone`.
  async photograph(kept, how) {
    const [name, ways] = kept?.split(': ') ?? [];
    if (!process.env.SCREENSHOTS || !ways?.includes(how)) return;
    await this.page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}-${how}.webp`), type: 'webp', quality: 72 });
  }

  async axe(how) {
    await this.page.evaluate(axe);
    const violations = await this.page.evaluate(async () => {
      const found = await window.axe.run(document, { iframes: false, resultTypes: ['violations'] });
      return found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
    });
    for (const violation of violations) this.fault(`axe (${how}): ${violation}`);
  }
}
