import { createTheme, Drawer } from '@mantine/core';

export const theme = createTheme({
  primaryColor: 'cyan',
  primaryShade: 9,
  autoContrast: true,
  defaultRadius: 'md',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
  headings: { fontWeight: '650', sizes: { h1: { fontSize: '1.5rem' }, h2: { fontSize: '1.05rem' }, h3: { fontSize: '0.95rem' } } },
  respectReducedMotion: true,
  // Locking the scroll writes a style without a nonce, which the page forbids.
  components: { Drawer: Drawer.extend({ defaultProps: { lockScroll: false } }) },
});

/** The states of parts, and the colour of each in either scheme: style.css. */
export type State = 'ok' | 'degraded' | 'away' | 'off';

/** Colours of classes, in the order of use: none of them is one of an outcome, so that a colour means one thing. */
export const palette = ['#0e9aa7', '#d9730d', '#6c7bd9', '#c0508f', '#7a8b1d', '#8c6a4f', '#64748b', '#d98cb3', '#5fa39b', '#b0a04a'];

/** The same name has the same colour on every chart. */
export function colourOf(name: string, names: string[]): string {
  return palette[Math.max(0, names.indexOf(name)) % palette.length]!;
}

/** Of all requests together. */
export const requestsColour = '#7d8fa3';

export const outcomeColours: Record<string, string> = {
  near: '#37986a',
  shared: '#2b8ac6',
  stale: '#b8860b',
  coalesced: '#a35bd1',
  miss: '#d6455d',
};
