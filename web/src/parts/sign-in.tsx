import { Button, PasswordInput, Popover, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { post } from '../api/client';
import { feed } from '../api/live';

/** Gives the token once, for a cookie that no script can read. */
export function SignIn() {
  const [token, setToken] = useState('');
  const queries = useQueryClient();
  const signIn = useMutation({
    mutationFn: () => post<void>('api/sign-in', { token }),
    onSuccess: () => {
      setToken('');
      feed.reconnect();
      void queries.invalidateQueries();
    },
  });
  return (
    <Popover width={300} trapFocus shadow="md">
      <Popover.Target>
        <Button size="xs">Sign in</Button>
      </Popover.Target>
      <Popover.Dropdown>
        <form onSubmit={(e) => (e.preventDefault(), signIn.mutate())}>
          <Stack gap="xs">
            <PasswordInput label="Admin token" description="FOREBAY_ADMIN_TOKEN of this node" value={token} onChange={(e) => setToken(e.currentTarget.value)} error={signIn.error?.message} />
            <Button type="submit" size="xs" loading={signIn.isPending}>
              Sign in
            </Button>
            <Text size="xs" className="soft">
              For twelve hours, in this browser.
            </Text>
          </Stack>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}
