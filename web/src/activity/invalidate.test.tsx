import { screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';
import { golden, serve, show } from '../fixtures';
import { merge } from '../pages/activity';
import { Invalidate } from './invalidate';

it('says what it will hit before it does it, then the receipt', async () => {
  const sent = serve({ 'api/overview': golden.overview, 'api/entries': golden.entries, 'api/invalidate': { id: '1-2', entries: 2, bytes: 2048, nodes: 3 } });
  const user = userEvent.setup();
  show(<Invalidate />);
  const go = screen.getByRole('button', { name: 'Invalidate' });
  expect(go).toHaveProperty('disabled', true);
  await user.type(screen.getByRole('textbox', { name: 'Tag' }), 'org:acme');
  await screen.findByText(golden.entries.entries[0]!.key);
  expect(screen.getByText('1 entry')).toBeTruthy();
  expect(sent.some((s) => s.method === 'POST')).toBe(false);
  await user.click(go);
  await waitFor(() => expect(screen.getByTestId('receipt').textContent).toBe('Done. It covered 2 entries (2.0 KiB) here; 2 more nodes read it from the log. Receipt 1-2'));
  expect(sent.find((s) => s.method === 'POST')).toEqual({ path: 'api/invalidate', method: 'POST', body: { tag: 'org:acme', mode: 'remove' } });
});

it('wants everything to be typed before everything goes', async () => {
  const sent = serve({ 'api/overview': golden.overview, 'api/entries': golden.entries, 'api/invalidate': { id: '1-2', entries: 1, bytes: 1, nodes: 1 } });
  const user = userEvent.setup();
  show(<Invalidate />);
  await user.click(screen.getByRole('radio', { name: 'all' }));
  await screen.findByText(golden.entries.entries![0]!.key);
  const go = screen.getByRole('button', { name: 'Invalidate everything' });
  const field = screen.getByRole('textbox', { name: /^Type “everything”/ });
  await user.type(field, 'everythin');
  expect(go).toHaveProperty('disabled', true);
  await user.type(field, 'g');
  await user.click(go);
  await waitFor(() => expect(screen.getByTestId('receipt').textContent).toContain('no other node is heard'));
  expect(sent.find((s) => s.method === 'POST')?.body).toEqual({ all: true, mode: 'remove' });
});

it('shows a refusal in the words of who refused', async () => {
  serve({ 'api/overview': golden.overview, 'api/entries': golden.entries, 'api/invalidate': Response.json({ detail: 'there is no class "x"' }, { status: 422 }) });
  const user = userEvent.setup();
  show(<Invalidate />);
  await user.type(screen.getByRole('textbox', { name: 'Tag' }), 'x');
  await user.click(screen.getByRole('button', { name: 'Invalidate' }));
  expect((await screen.findByRole('alert')).textContent).toBe('there is no class "x"');
});

it('takes the later word on an item that has counted up', () => {
  const [first] = golden.activity;
  expect(merge([first!], [{ ...first!, count: 7 }])).toEqual([{ ...first!, count: 7 }]);
});
