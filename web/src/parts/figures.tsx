import { Fragment, type ReactNode } from 'react';
import type { Word } from '../words';
import { Define } from './define';

export interface Line {
  name: string;
  value: ReactNode;
  word?: Word;
}

/** Names and values, one below the other. */
export function Figures({ lines }: { lines: Line[] }) {
  return (
    <dl className="figures">
      {lines.map((l) => (
        <Fragment key={l.name}>
          <dt>
            {l.name}
            {l.word && <Define word={l.word} of={l.name} />}
          </dt>
          <dd>{l.value}</dd>
        </Fragment>
      ))}
    </dl>
  );
}
