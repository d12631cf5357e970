// The pictures of the manual: node browser/shots.mjs writes docs/images/, from two nodes with traffic.
import { join } from 'node:path';
import { repo, sleep, until, World } from './world.mjs';

const world = await World.open({ traffic: 60 });
try {
  await world.startDemo({ traffic: 150, args: ['--origin-latency', '200ms-500ms'] });
  const shot = async (name, path, options, prepare) => {
    const page = await world.browse({ width: 1240, ...options });
    await page.goto(world.admin + path);
    await page.getByTestId('live-sign').getByText('Live', { exact: true }).waitFor();
    await prepare(page);
    await page.screenshot({ path: join(repo, 'docs/images', name) });
    await page.context().close();
  };
  await sleep(Number(process.argv[2] ?? 150) * 1000); // a while of a working day
  await shot('system-health.png', '/', { height: 960 }, () => sleep(3000));
  await shot('architecture.png', '/architecture', { height: 800, colorScheme: 'dark' }, async (page) => {
    await sleep(2000);
    await page.getByRole('button', { name: /^Follow GET .*, miss$/ }).first().click();
    await until('it has come to the origin', () => page.locator('.part.lit', { hasText: 'Partner API' }).count());
    await page.evaluate(() => scrollTo(0, 0));
    await sleep(300);
  });
  await shot('platform.png', '/platform', { height: 820 }, async (page) => {
    await page.getByRole('textbox', { name: 'Question' }).fill('Which partners are in retail? For the board.');
    for (let i = 1; i <= 2; i++) {
      await page.getByRole('button', { name: 'Ask', exact: true }).click();
      await until('an answer', async () => (await page.getByRole('region', { name: 'Chat' }).getByTestId('badge').count()) === i);
    }
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByTestId('query-status').getByText('completed').waitFor({ timeout: 40_000 });
    await sleep(800);
  });
} finally {
  await world.close();
}
