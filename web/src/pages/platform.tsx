import { Stack, Text, Title } from '@mantine/core';
import { useMay } from '../api/overview';
import { Drill } from '../parts/drill';
import { Chat } from '../platform/chat';
import { Partners } from '../platform/partners';
import { Templates } from '../platform/templates';

/** What one shows a colleague: the platform in use, each answer with how it came about. */
export default function PlatformPage() {
  const may = useMay();
  if (may && !may.platform) return <Text>The reference platform is not behind this listener: “forebay demo” starts it.</Text>;
  return (
    <Stack gap="md">
      <div>
        <Title order={1}>Platform</Title>
        <Text size="sm" className="soft">
          An API in front of a slow partner API (200 to 500 ms each call, unless it was started with another latency). Each answer says how it came about, and how long it took here.
        </Text>
      </div>
      <div className="charts">
        <Chat />
        <Partners />
        <Drill />
        <Templates />
      </div>
    </Stack>
  );
}
