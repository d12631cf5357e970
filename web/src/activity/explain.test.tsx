import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';
import { serve, show } from '../fixtures';
import { Explain } from './explain';

const miss = {
  canonical: 'GET a.test/x?q=1', rule: 'GET /x', class: 'http', key: 'http/http:GET a.test/x,abc', parts: [{ name: 'query', value: 'q=1' }], stored: false, size: 0, age: 0,
  fresh_until: null, vary: [], tags: [], headers: {}, would: 'miss', why: 'the last response was not stored: private', nearby: 2, nearest: null, nodes: [],
};

it('says what the answer would be, why, and what the key is made of', async () => {
  const sent = serve({ 'api/explain': miss });
  const user = userEvent.setup();
  show(<Explain />);
  await user.type(screen.getByRole('textbox', { name: 'URL' }), 'http://a.test/x?q=1');
  await user.type(screen.getByRole('textbox', { name: 'Fields of the request' }), 'Accept: text/html{enter}X-Time: 10:30');
  await user.click(screen.getByRole('button', { name: 'Explain' }));
  const told = (await screen.findByTestId('explanation')).textContent ?? '';
  expect(told).toContain('Now: miss, the last response was not stored: private');
  expect(told).toContain('query: q=1');
  expect(told).toContain('2 other responses of this path are');
  expect(sent.find((s) => s.method === 'POST')?.body).toEqual({ url: 'http://a.test/x?q=1', headers: { Accept: 'text/html', 'X-Time': '10:30' } });
});

it('says in words where there is nothing to explain', async () => {
  serve({ 'api/explain': Response.json({ detail: 'this node caches functions, not requests: ask a gateway (forebay serve)' }, { status: 404 }) });
  const user = userEvent.setup();
  show(<Explain />);
  await user.type(screen.getByRole('textbox', { name: 'URL' }), 'http://a.test/x');
  await user.click(screen.getByRole('button', { name: 'Explain' }));
  expect((await screen.findByRole('alert')).textContent).toContain('ask a gateway');
});
