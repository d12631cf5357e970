// A world for the browser's tests: a real Redis, a real demo with traffic, a real Chromium. Each is
// started on free ports, and ended by its own process.
import { spawn, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const repo = join(dirname(fileURLToPath(import.meta.url)), '../..');
const screenshots = join(repo, 'screenshots');
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const axe = readFileSync(join(repo, 'web/node_modules/axe-core/axe.min.js'), 'utf8');

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, holds, patience = 20_000) {
  const end = Date.now() + patience;
  for (;;) {
    const got = await holds();
    if (got) return got;
    if (Date.now() > end) throw new Error(`it did not come to pass in ${patience / 1000} s: ${what}`);
    await sleep(100);
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

function start(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  child.said = '';
  child.stderr.on('data', (text) => (child.said = (child.said + text).slice(-4000)));
  child.gone = new Promise((resolve) => child.on('exit', resolve));
  return child;
}

export class World {
  #temp = mkdtempSync(join(tmpdir(), 'forebay-browser-'));
  #binary = join(this.#temp, 'forebay');
  #children = new Set();
  #contexts = new Set();
  #profiles = 0;

  /** A gateway, instead of the demo: on an origin that the test has started. */
  static async gateway(origin, ...args) {
    const world = new World();
    execFileSync('go', ['build', '-o', world.#binary, './cmd/forebay'], { cwd: repo, stdio: ['ignore', 'inherit', 'inherit'] });
    world.redisPort = await freePort();
    await world.startRedis();
    await world.#startNode(['serve', '--origin', origin, ...args], {});
    return world;
  }

  /** Says something to Redis, and returns its answer. */
  tellRedis(...words) {
    return execFileSync('redis-cli', ['-p', this.redisPort, ...words]).toString().trim();
  }

  static async open({ traffic = 100, args = [], env = {} } = {}) {
    const world = new World();
    execFileSync('go', ['build', '-o', world.#binary, './cmd/forebay'], { cwd: repo, stdio: ['ignore', 'inherit', 'inherit'] });
    world.redisPort = await freePort();
    await world.startRedis();
    await world.startDemo({ traffic, args, env });
    return world;
  }

  async startRedis() {
    this.redis = this.#add(start('redis-server', ['--port', this.redisPort, '--bind', '127.0.0.1', '--save', '', '--dir', this.#temp]));
    await until('Redis listens', () => fetch(`http://127.0.0.1:${this.redisPort}`).then(() => true, (e) => e.cause?.code !== 'ECONNREFUSED'));
  }

  async killRedis() {
    this.redis.kill('SIGKILL');
    await this.redis.gone;
  }

  async startDemo({ traffic, args = [], env = {} }) {
    await this.#startNode(['demo', '--traffic', traffic, '--drills', '--origin-latency', '40ms-80ms', ...args], env);
  }

  async #startNode(args, env) {
    const [port, admin] = [await freePort(), await freePort()];
    this.public = `http://127.0.0.1:${port}`;
    this.admin = `http://127.0.0.1:${admin}`;
    this.demo = this.#add(
      start(this.#binary, [args[0], '--addr', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`, ...args.slice(1)], {
        REDIS_URL: `redis://127.0.0.1:${this.redisPort}`,
        FOREBAY_ADMIN_TOKEN: '',
        ...env,
      }),
    );
    await until('the node answers', () => fetch(`${this.admin}/health/live`).then((r) => r.ok, () => false)).catch((e) => {
      throw new Error(`${e.message}\n${this.demo.said}`);
    });
  }

  async stopDemo() {
    this.demo.kill('SIGTERM');
    await this.demo.gone;
  }

  #add(child) {
    this.#children.add(child);
    child.gone.then(() => this.#children.delete(child));
    return child;
  }

  /** A browser of its own profile. Whatever its console says at a warning or worse is kept. */
  async browse({ width = 1280, height = 900, ...options } = {}) {
    const profile = join(this.#temp, `profile-${this.#profiles++}`);
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: flags,
      viewport: { width, height },
      ...options,
    });
    this.#contexts.add(context);
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(15_000);
    page.complaints = [];
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && page.complaints.push(m.text()));
    page.on('pageerror', (e) => page.complaints.push(String(e)));
    return page;
  }

  /** Ends everything that was started, also what a failed test left open. */
  async close() {
    await Promise.all([...this.#contexts].map((context) => context.close()));
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all([...this.#children].map((child) => child.gone));
    rmSync(this.#temp, { recursive: true, force: true });
  }
}

/** What axe finds on the page, in words. It is run from outside of the page's own policy. */
export async function violations(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Runtime.evaluate', { expression: axe });
  const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
    expression: `axe.run(document, { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 4).map(n => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')).join(' | '))))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await cdp.detach();
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return JSON.parse(result.value);
}

/** Keeps a picture of the page, in a folder that is looked at and not committed. */
export async function picture(page, name) {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}
