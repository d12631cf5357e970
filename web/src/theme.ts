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

/** Colours that stay apart for most eyes, in either scheme, by the order of use. */
export const palette = ['#2b8ac6', '#d9730d', '#37986a', '#a35bd1', '#d6455d', '#7a8b1d', '#0e9aa7', '#b8860b', '#6c7bd9', '#c0508f'];

/** The same name has the same colour on every chart. */
export function colourOf(name: string, names: string[]): string {
  return palette[Math.max(0, names.indexOf(name)) % palette.length]!;
}

export const outcomeColours: Record<string, string> = {
  near: '#37986a',
  shared: '#2b8ac6',
  stale: '#b8860b',
  coalesced: '#a35bd1',
  miss: '#d6455d',
};
