import { Drawer, Stack, Text } from '@mantine/core';
import type { Edge, Part } from '../api/client';
import { Figures } from '../parts/figures';
import { perSecond } from '../format';
import { figureText } from './picture';

/** The figures of a part. */
export function PartDrawer({ part, edges, onClose }: { part?: Part; edges: Edge[]; onClose: () => void }) {
  const flows = edges.filter((e) => e.what && (e.from === part?.id || e.to === part?.id));
  return (
    <Drawer opened={part !== undefined} onClose={onClose} position="right" size="sm" title={part?.name ?? ''} closeButtonProps={{ 'aria-label': 'Close' }}>
      {part && (
        <Stack gap="md">
          <Text className={`state-${part.state}`}>{part.detail}</Text>
          <Figures lines={part.figures.map((f) => ({ name: f.name, value: figureText(f) }))} />
          <Figures lines={flows.map((e) => ({ name: e.from === part.id ? `to ${e.to}: ${e.what}` : `from ${e.from}: ${e.what}`, value: perSecond(e.rate) }))} />
        </Stack>
      )}
    </Drawer>
  );
}
