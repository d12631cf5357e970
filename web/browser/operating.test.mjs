// What people do on the pages, in a real browser on a running demo.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { picture, sleep, until, World } from './world.mjs';

const badge = (scope) => scope.getByTestId('badge').last();
const outcome = (scope) => badge(scope).getAttribute('data-outcome');

describe('operating', { timeout: 200_000 }, () => {
  let world;
  before(async () => {
    world = await World.open({ traffic: 0 });
  });
  after(() => world?.close());

  it('a partner is changed, and the next answer shows it', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/platform`);
    const card = page.getByRole('region', { name: 'Partners', exact: true });
    await card.getByTestId('status-p-1').waitFor();
    await card.getByRole('button', { name: 'Ask again' }).click();
    await until('the second answer is a hit', async () => (await outcome(card)) === 'hit near');
    for (let i = 0; i < 4; i++) {
      const status = card.getByTestId('status-p-1');
      const before = await status.textContent();
      await card.getByRole('row', { name: /River Labs/ }).getByRole('button').click();
      await until('the change is shown', async () => (await status.textContent()) !== before);
      await until('by a miss', async () => (await outcome(card)) === 'miss');
    }
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  it('a question is asked twice, and the second answer is the first one replayed', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/platform`);
    const card = page.getByRole('region', { name: 'Chat' });
    const replies = [];
    for (const want of ['miss', 'hit near']) {
      await card.getByRole('button', { name: 'Ask' }).click();
      await until(want, async () => (await card.getByTestId('badge').count()) > replies.length && (await outcome(card)) === want);
      replies.push(await card.getByTestId('reply').last().textContent());
    }
    assert.match(replies[0], /acme has \d+ partners in retail/);
    assert.equal(replies[0], replies[1]);
    await page.context().close();
  });

  it('a template is run as a query, to its result', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/platform`);
    const card = page.getByRole('region', { name: /^Query:/ });
    await card.getByRole('button', { name: 'Run' }).click();
    await card.getByTestId('query-status').getByText('completed').waitFor({ timeout: 30_000 });
    await card.getByRole('button', { name: 'Ask for the result again' }).click();
    await until('the result is kept', async () => (await outcome(card)) === 'hit near');
    await picture(page, 'platform-used');
    await page.context().close();
  });

  it('an invalidation says first what it will hit, then its receipt, and is in the audit', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/platform`);
    await page.getByRole('region', { name: 'Partners', exact: true }).getByTestId('status-p-1').waitFor();
    await page.getByRole('link', { name: 'Activity' }).click();
    await page.getByRole('textbox', { name: 'Tag' }).fill('org:acme');
    await page.getByTestId('preview').getByText('partner_data:org_id=acme,q=,').waitFor();
    await page.getByRole('button', { name: 'Invalidate', exact: true }).click();
    const receipt = await page.getByTestId('receipt').locator('.mono').textContent();
    assert.match(receipt, /^\d+-\d+$/);
    await page.getByTestId('followed').getByText(/^Applied by .* at /).waitFor();
    await page.getByTestId('preview').getByText('reaches nothing').waitFor();
    await page.getByText('Audit', { exact: true }).click();
    await page.getByTestId('activity').getByText(receipt).waitFor();
    await page.goto(`${world.admin}/platform`);
    const card = page.getByRole('region', { name: 'Partners', exact: true });
    await until('the next answer is a miss', async () => (await outcome(card)) === 'miss');
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  it('Redis is killed and started again while the page watches', async () => {
    const page = await world.browse();
    await page.goto(world.admin);
    const verdict = page.getByTestId('verdict');
    await verdict.getByText('Everything works').waitFor();
    await world.killRedis();
    await verdict.getByText('It answers, with something missing.').waitFor();
    await verdict.getByText('What to do: start Redis').waitFor();
    await picture(page, 'redis-away');
    await page.getByRole('link', { name: 'Architecture' }).click();
    await page.getByRole('button', { name: /^Shared tier\s?: away/ }).waitFor();
    const platform = await fetch(`${world.public}/api/partners?org_id=ember`);
    assert.equal(platform.status, 200);
    await world.startRedis();
    await page.getByRole('button', { name: /^Shared tier\s?: works/ }).waitFor({ timeout: 20_000 });
    await page.getByRole('link', { name: 'System Health' }).click();
    await verdict.getByText('Everything works').waitFor();
    await page.getByTestId('incident').filter({ hasText: /shared: .*\d+(\.\d+)? s$/s }).first().waitFor();
    await page.getByRole('img', { name: /^Hit rate by class over time.*Shaded: .*shared, / }).waitFor();
    await picture(page, 'redis-back');
    await page.getByRole('link', { name: 'Activity' }).click();
    await page.getByTestId('activity').getByText('the shared tier is back').waitFor();
    await page.context().close();
  });

  it('Redis is taken away by a drill', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/platform`);
    await page.getByRole('button', { name: 'Take Redis away' }).click();
    const report = page.getByTestId('drill-report');
    await report.getByText('Without Redis').waitFor({ timeout: 40_000 });
    assert.match(await report.textContent(), /Said to be degraded after/);
    await page.context().close();
  });

  it('edges stand still where nothing flows', async () => {
    await sleep(6000); // longer than the mean of the rates
    const page = await world.browse();
    await page.goto(`${world.admin}/architecture`);
    await page.getByRole('button', { name: /^Near tier\s?: works/ }).waitFor();
    await until('nothing moves', async () => (await page.locator('.flow-moves').count()) === 0);
    await page.context().close();
  });

  it('a second node is seen beside the first, and is unknown once it is gone', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/nodes`);
    await page.getByTestId('node').filter({ hasText: '(this one)' }).waitFor();
    const [first, firstPublic, demo] = [world.admin, world.public, world.demo];
    await world.startDemo({ traffic: 0 });
    const other = page.getByTestId('node').filter({ hasNotText: '(this one)' });
    await other.filter({ hasText: 'ok' }).waitFor({ timeout: 20_000 });
    await picture(page, 'nodes-two');
    assert.equal(await other.getByRole('link').getAttribute('href'), world.admin);
    await world.stopDemo();
    [world.admin, world.public, world.demo] = [first, firstPublic, demo];
    await other.filter({ hasText: /unknown for \d+ s/ }).waitFor({ timeout: 30_000 });
    await page.context().close();
  });

  it('the node goes and comes, and the page says so and goes on', async () => {
    const page = await world.browse();
    await page.goto(world.admin);
    const sign = page.getByTestId('live-sign');
    await sign.getByText('Live', { exact: true }).waitFor();
    const [port, admin] = [world.public, world.admin].map((url) => new URL(url).port);
    await world.stopDemo();
    await sign.getByText(/Reconnecting/).waitFor();
    await world.startDemo({ traffic: 0, args: ['--addr', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`] }).catch(() => {});
    await sign.getByText('Live', { exact: true }).waitFor({ timeout: 20_000 });
    await page.context().close();
  });
});

describe('the public listener, and one with a token', { timeout: 120_000 }, () => {
  let world;
  before(async () => {
    world = await World.open({ traffic: 20, env: { FOREBAY_ADMIN_TOKEN: 'the token' } });
  });
  after(() => world?.close());

  it('shows figures to everybody, and keys to nobody', async () => {
    const page = await world.browse();
    await page.goto(world.public);
    await page.getByTestId('verdict').getByText('Everything works').waitFor();
    await page.getByText('Keys are shown to operators alone').waitFor();
    await page.goto(`${world.public}/activity`);
    await page.getByText('shown to operators alone').waitFor();
    assert.equal((await page.request.get(`${world.public}/api/keys`)).status(), 404);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  it('signs in with the token, for a cookie', async () => {
    const page = await world.browse();
    await page.goto(world.admin);
    await page.getByText('Keys are shown to operators alone').waitFor();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByLabel('Admin token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('this is not the token').waitFor();
    await page.getByLabel('Admin token').fill('the token');
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'Keys asked for most' }).waitFor();
    const [cookie] = await page.context().cookies();
    assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict' && !cookie.value.includes('token'));
    await page.context().close();
  });
});
