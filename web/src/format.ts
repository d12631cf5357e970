/** No data is no data: never 0. */
export const none = 'no data';

export function percent(rate: number | null | undefined, digits = 1): string {
  return rate == null || Number.isNaN(rate) ? none : `${(rate * 100).toFixed(digits)} %`;
}

export function count(n: number | null | undefined): string {
  if (n == null) return none;
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} G`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`;
  if (n >= 1e4) return `${(n / 1e3).toFixed(1)} k`;
  return Number.isInteger(n) ? String(n) : n.toFixed(1);
}

export function perSecond(n: number | null | undefined): string {
  if (n == null) return none;
  return `${n >= 100 ? count(Math.round(n)) : n >= 10 ? n.toFixed(0) : n > 0 && n < 0.05 ? '< 0.1' : n.toFixed(1)} /s`;
}

export function bytes(n: number | null | undefined): string {
  if (n == null) return none;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return `${i === 0 ? n : n >= 100 ? n.toFixed(0) : n.toFixed(1)} ${units[i]}`;
}

export function ms(n: number | null | undefined): string {
  if (n == null) return none;
  if (n >= 10_000) return `${(n / 1000).toFixed(0)} s`;
  if (n >= 1000) return `${(n / 1000).toFixed(1)} s`;
  if (n >= 100) return `${n.toFixed(0)} ms`;
  if (n >= 1) return `${n.toFixed(1)} ms`;
  return n === 0 ? '0 ms' : `${Math.max(1, Math.round(n * 1000))} µs`;
}

export function span(seconds: number | null | undefined): string {
  if (seconds == null) return none;
  const s = Math.abs(seconds);
  const sign = seconds < 0 ? '−' : '';
  if (s < 1) return `${sign}${Math.round(s * 1000)} ms`;
  if (s < 100) return `${sign}${Number(s.toFixed(s < 10 ? 1 : 0))} s`;
  if (s < 5940) return `${sign}${Math.round(s / 60)} min`;
  if (s < 172_800) return `${sign}${Number((s / 3600).toFixed(1))} h`;
  return `${sign}${Number((s / 86_400).toFixed(1))} d`;
}

/** The time, and the date where it is not today's. */
export function moment(time: string | number | Date): string {
  const at = new Date(time);
  return at.toDateString() === new Date().toDateString() ? clock(at) : `${at.toLocaleDateString([], { day: 'numeric', month: 'short' })} ${clock(at)}`;
}

export function clock(time: string | number | Date): string {
  return new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

/** The time to the millisecond: what happens in one blink is told apart. */
export function exact(time: string | number | Date): string {
  return `${clock(time)}.${String(new Date(time).getMilliseconds()).padStart(3, '0')}`;
}
