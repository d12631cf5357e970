/** How many characters of a key are shown: its beginning says what it is, its end tells it from others. */
const [start, end] = [34, 8];

/** A key in one line; the whole of it under the pointer. */
export function Key({ of }: { of: string }) {
  const short = of.length > start + end + 1 ? `${of.slice(0, start)}…${of.slice(-end)}` : of;
  return (
    <span className="mono" title={of}>
      {short}
    </span>
  );
}
