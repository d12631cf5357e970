// Incidents that an operator lives through, on a gateway before a real origin: the page and /health say the right
// thing within ten seconds, and nothing of it a minute after.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createServer } from 'node:http';
import { picture, sleep, until, World } from './world.mjs';

/** An origin that can be made to fail: how a request is answered is its mood's. */
class Origin {
  mood = (request, response) => {
    const control = request.url.startsWith('/mine/') ? 'private' : 'max-age=1';
    response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': control }).end('{"ok":true}');
  };

  async open() {
    this.well = this.mood;
    this.server = createServer((request, response) => this.mood(request, response));
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

describe('incidents', { timeout: 400_000 }, () => {
  let origin, world, page, asking;
  before(async () => {
    origin = await new Origin().open();
    world = await World.gateway(origin.url, '--cache', 'GET /items/=1s', '--cache', 'GET /mine/=1s');
    page = await world.browse();
    await page.goto(world.admin);
    let n = 0;
    asking = setInterval(() => fetch(`${world.public}/items/${n++ % 50}`).then((r) => r.arrayBuffer(), () => {}), 25);
    await page.getByTestId('verdict').getByText(/Everything works/).waitFor();
  });
  after(async () => {
    clearInterval(asking);
    origin?.close();
    await world?.close();
  });

  const health = () => fetch(`${world.admin}/health`).then((r) => r.json());

  /** The page and /health say the same, soon; and then that it is over. */
  async function said(pattern, { status = 'degraded', name }) {
    const verdict = page.getByTestId('verdict');
    await until(`${pattern} on the page`, async () => pattern.test(await verdict.textContent()), 12_000);
    const told = await health();
    assert.equal(told.status, status);
    const cause = told.causes.find((c) => pattern.test(`${c.check}: ${c.reason}`));
    assert.ok(cause, JSON.stringify(told));
    assert.ok(cause.do && Date.now() - Date.parse(cause.since) < 30_000, JSON.stringify(cause));
    await picture(page, `incident-${name}`);
  }

  async function over(pattern) {
    await until(`${pattern} is over`, async () => !pattern.test(await page.getByTestId('verdict').textContent()), 65_000);
    const told = await health();
    assert.ok(!(told.causes ?? []).some((c) => pattern.test(`${c.check}: ${c.reason}`)), JSON.stringify(told));
    const incidents = await fetch(`${world.admin}/api/incidents`).then((r) => r.json());
    assert.ok(incidents.some((i) => i.until && pattern.test(`${i.check}: ${i.reason}`)), JSON.stringify(incidents));
  }

  it('half of the answers are 500', async () => {
    let n = 0;
    origin.mood = (request, response) => (n++ % 2 === 0 ? response.writeHead(500).end('oops') : origin.well(request, response));
    await said(/calls of its origin fail/, { name: 'half' });
    origin.mood = origin.well;
    await over(/calls of its origin fail/);
  });

  it('the origin hangs up on everybody', async () => {
    origin.mood = (request) => request.socket.destroy();
    await said(/calls of its origin fail/, { name: 'dead' });
    origin.mood = origin.well;
    await over(/calls of its origin fail/);
  });

  it('Redis is full', async () => {
    world.tellRedis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    world.tellRedis('CONFIG', 'SET', 'maxmemory', '1mb');
    await said(/shared tier cannot be used: .*(OOM|cannot be stored)/, { name: 'full' });
    await sleep(8000);
    assert.match(await page.getByTestId('verdict').textContent(), /shared tier cannot be used/, 'it lasts');
    world.tellRedis('CONFIG', 'SET', 'maxmemory', '0');
    await over(/shared tier cannot be used/);
    await page.getByTestId('verdict').getByText('Everything works').waitFor();
    assert.deepEqual(page.complaints, []);
  });

  it('a route whose answers are private is explained from the page', async () => {
    for (let i = 0; i < 5; i++) await fetch(`${world.public}/mine/1`).then((r) => r.arrayBuffer());
    const routes = await world.browse();
    await routes.goto(`${world.admin}/routes`);
    const route = routes.getByTestId('route').filter({ hasText: 'GET /mine/' });
    await until('why', async () => /private \d+/.test(await route.textContent()));
    await picture(routes, 'routes-private');
    await route.getByRole('link', { name: 'explain' }).click();
    assert.match(await routes.getByLabel('URL', { exact: true }).inputValue(), /^http:\/\/127.0.0.1:\d+\/mine\/1$/);
    await routes.getByRole('button', { name: 'Explain' }).click();
    await until('the explanation', async () => /miss|bypass/.test(await routes.getByTestId('explanation').textContent()));
    assert.match(await routes.getByTestId('explanation').textContent(), /private/);
    await routes.getByLabel('URL', { exact: true }).fill(`${world.public}/items/77`);
    await routes.getByLabel('Fields of the request').fill('');
    await routes.getByLabel('Send it through the cache first').check();
    await routes.getByRole('button', { name: 'Explain' }).click();
    await routes.getByTestId('explanation').getByText(/Asked: 200, .*stored/).waitFor();
    await routes.getByRole('button', { name: 'Remove all of this URL' }).click();
    await routes.getByText(/Removed: receipt \d+-\d+/).waitFor();
    await routes.getByTestId('explanation').getByText('Nothing is stored under its key').waitFor();
    await routes.context().close();
  });
});
