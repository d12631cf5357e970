// How each page bears 1,000 requests a second: the tasks of over 50 ms in 30 s, and what a first visit
// loads. A figure for docs/dashboard.md, no test: it is of this machine and this moment.
import { sleep, World } from './world.mjs';

const rate = Number(process.argv[2] ?? 1000);
const seconds = Number(process.argv[3] ?? 30);
const world = await World.open({ traffic: rate });
try {
  await sleep(5000);
  for (const path of ['/', '/architecture', '/platform', '/activity', '/routes', '/entries', '/nodes']) {
    const page = await world.browse();
    let script = 0;
    page.on('response', async (r) => {
      if (r.url().endsWith('.js')) script += Number((await r.allHeaders())['content-length'] ?? 0);
    });
    await page.goto(world.admin + path);
    await page.getByTestId('live-sign').getByText('Live', { exact: true }).waitFor();
    await sleep(2000);
    const tasks = await page.evaluate(
      (ms) =>
        new Promise((resolve) => {
          const long = [];
          new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => Math.round(e.duration)))).observe({ type: 'longtask' });
          setTimeout(() => resolve(long), ms);
        }),
      seconds * 1000,
    );
    const stats = await (await fetch(`${world.admin}/api/series?step=1s`)).json();
    const served = stats.points.slice(-seconds).reduce((n, p) => n + p.requests, 0) / seconds;
    console.log(`${path}\t${tasks.length} tasks over 50 ms in ${seconds} s${tasks.length ? ` (${tasks.join(', ')} ms)` : ''}, ${Math.round(served)} requests a second, first visit ${Math.round(script / 1000)} kB of script`);
    await page.context().close();
  }
} finally {
  await world.close();
}
