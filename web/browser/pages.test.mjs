// The pages in a real browser, on a running demo with traffic and Redis.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { picture, sleep, until, violations, World } from './world.mjs';

const pages = ['/', '/architecture', '/platform', '/activity', '/routes', '/entries', '/nodes'];

describe('the pages', { timeout: 200_000 }, () => {
  let world;
  before(async () => {
    world = await World.open();
    await sleep(6000); // a few seconds of traffic, to have figures
  });
  after(() => world?.close());

  for (const [look, options] of Object.entries({
    light: {},
    dark: { colorScheme: 'dark' },
    phone: { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  })) {
    it(`are live, accessible and without complaint: ${look}`, async () => {
      const page = await world.browse(options);
      for (const path of pages) {
        await page.goto(world.admin + path);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.getByTestId('live-sign').getByText('Live', { exact: true }).waitFor();
        await sleep(1500);
        assert.deepEqual(await violations(page), [], `axe on ${path}`);
        const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(inner <= outer + 1, `${path} is ${inner} wide on a screen of ${outer}`);
        await picture(page, `${look}${path.replaceAll('/', '-').replace(/-$/, '-health')}`);
      }
      assert.deepEqual(page.complaints, []);
      await page.context().close();
    });
  }

  it('do not move under a finger while they fill', async () => {
    const page = await world.browse();
    await page.addInitScript(() => {
      window.moved = [];
      new PerformanceObserver((list) => window.moved.push(...list.getEntries().map((e) => e.value))).observe({ type: 'layout-shift', buffered: true });
    });
    for (const path of pages) {
      await page.goto(world.admin + path);
      await page.getByTestId('live-sign').getByText('Live', { exact: true }).waitFor();
      await sleep(1500);
      const moved = await page.evaluate(() => window.moved.reduce((a, b) => a + b, 0));
      assert.ok(moved < 0.1, `${path}: the cumulative layout shift is ${moved}`);
    }
    await page.context().close();
  });

  it('System Health shows live figures, whose definitions are one click away', async () => {
    const page = await world.browse();
    await page.goto(world.admin);
    await page.getByTestId('verdict').getByText('Everything works').waitFor();
    const lookups = page.getByText(/of \d+ look-ups in a minute/);
    const first = await lookups.textContent();
    await until('the figures move', async () => (await lookups.textContent()) !== first, 5000);
    await page.getByRole('button', { name: 'What is: Origin spared?' }).click();
    await page.getByText('1 − calls / requests').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('img', { name: /Hit rate by class over time. Latest: .*partner_data \d+ %/ }).waitFor();
    await page.getByRole('img', { name: /p99, logarithmic. Latest: near/ }).waitFor();
    await page.getByRole('region', { name: 'Keys asked for most' }).getByText('partner_data:org_id=acme,q=,').waitFor();
    await page.getByRole('region', { name: 'Keys missing most' }).waitFor();

    await page.getByText('2 hours').click();
    await page.getByText('p50', { exact: true }).click();
    await page.getByRole('button', { name: /^chat/ }).click();
    await until('the state is in the URL', () => /range=2h/.test(page.url()) && /q=p50/.test(page.url()) && /class=chat/.test(page.url()));
    await page.reload();
    await page.getByRole('img', { name: /p50, logarithmic/ }).waitFor();
    assert.equal(await page.getByRole('button', { name: /^chat/ }).getAttribute('aria-pressed'), 'true');
    await page.context().close();
  });

  it('Routes are sorted by a click, and the order is in the URL', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/routes`);
    const partners = page.getByTestId('route').filter({ hasText: 'GET /api/partners' });
    await partners.waitFor();
    await page.getByRole('button', { name: 'Miss p99' }).click();
    await until('the order is in the URL', () => /sort=miss_p99&order=down/.test(page.url()));
    await page.getByRole('columnheader', { name: 'Miss p99' }).and(page.locator('[aria-sort=descending]')).waitFor();
    await page.getByRole('button', { name: 'Miss p99' }).press('Enter');
    await page.locator('th[aria-sort=ascending]').waitFor();
    const before = await partners.textContent();
    await until('the figures move', async () => (await partners.textContent()) !== before, 8000);
    await page.context().close();
  });

  it('Entries are searched, and one is removed', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/entries`);
    await page.getByTestId('entry').first().waitFor();
    await page.getByLabel('Key holds').fill('partner_data:org_id=acme,q=,');
    await until('one is left', async () => (await page.getByTestId('entry').count()) === 1);
    await page.getByRole('button', { name: /^Remove partner_data:org_id=acme,q=,$/ }).click();
    await page.goto(`${world.admin}/activity`);
    await page.getByText('partner_data:org_id=acme,q=,').first().waitFor();
    await page.context().close();
  });

  it('pauses, and resumes with what came meanwhile', async () => {
    const page = await world.browse();
    await page.goto(world.admin);
    const lookups = page.getByText(/of \d+ look-ups in a minute/);
    await lookups.waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByTestId('live-sign').getByText(/Paused/).waitFor();
    await sleep(300);
    const held = await lookups.textContent();
    await sleep(2500);
    assert.equal(await lookups.textContent(), held);
    await page.getByRole('button', { name: 'Resume' }).click();
    await until('it goes on', async () => (await lookups.textContent()) !== held, 5000);
    await page.context().close();
  });

  it('Architecture is drawn as it is connected, by keyboard too, and follows a request', async () => {
    const page = await world.browse();
    await page.goto(`${world.admin}/architecture`);
    const shared = page.getByRole('button', { name: /^Shared tier\s?: works/ });
    await shared.waitFor();
    await until('edges with traffic move', async () => (await page.locator('.flow-moves').count()) > 3);
    await shared.focus();
    await page.keyboard.press('Enter');
    const drawer = page.getByRole('dialog');
    await drawer.getByText('redis 7').first().waitFor();
    await until('the part is in the URL', () => page.url().includes('part=shared'));
    await page.keyboard.press('Escape');
    await drawer.waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: /^Follow .*, miss$/ }).first().click();
    const timeline = page.getByTestId('timeline');
    await timeline.getByText(/origin: loaded/).first().waitFor();
    await until('the request has come to the origin', () => page.locator('.part.lit', { hasText: 'Partner API' }).count(), 15_000);
    assert.match(page.url(), /request=\d+/);
    await picture(page, 'follow');
    await page.context().close();
  });

  it('stands still for who wants less motion', async () => {
    const page = await world.browse({ reducedMotion: 'reduce' });
    await page.goto(`${world.admin}/architecture`);
    await page.getByRole('button', { name: /^Shared tier\s?: works/ }).waitFor();
    await sleep(1200);
    assert.equal(await page.locator('.flow-moves').count(), 0);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: /^Follow .*, miss$/ }).first().click();
    await until('the whole way is shown at once', () => page.locator('.part.lit', { hasText: 'Partner API' }).count(), 1500);
    await page.context().close();
  });

  it('can be reached and left by keyboard alone', async () => {
    const page = await world.browse();
    await page.goto(world.admin);
    await page.getByTestId('verdict').waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByText('Of the look-ups, the share').waitFor();
    await page.context().close();
  });
});
