import { describe, expect, it } from 'vitest';
import { bytes, count, ms, percent, perSecond, span } from './format';

describe('figures as people read them', () => {
  it.each([
    [percent(null), 'no data'],
    [percent(0), '0.0 %'],
    [percent(0.8207), '82.1 %'],
    [ms(null), 'no data'],
    [ms(0.0421), '42 µs'],
    [ms(3.21), '3.2 ms'],
    [ms(250), '250 ms'],
    [ms(2500), '2.5 s'],
    [bytes(undefined), 'no data'],
    [bytes(512), '512 B'],
    [bytes(1536), '1.5 KiB'],
    [bytes(512 * 1024 * 1024), '512 MiB'],
    [span(-3), '−3 s'],
    [span(0.25), '250 ms'],
    [span(90), '90 s'],
    [span(900), '15 min'],
    [span(3600 * 5), '5 h'],
    [perSecond(0), '0.0 /s'],
    [perSecond(0.01), '< 0.1 /s'],
    [perSecond(12345), '12.3 k /s'],
    [count(12), '12'],
    [count(1_234_567), '1.2 M'],
  ])('%s is %s', (got, want) => expect(got).toBe(want));
});
