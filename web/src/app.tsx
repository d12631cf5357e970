import { ActionIcon, Alert, Button, Group, Loader, Text, Tooltip, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { lazy, Suspense, useEffect } from 'react';
import { Link, Route, Switch, useLocation } from 'wouter';
import { useOverview } from './api/overview';
import { LiveSign } from './parts/live-sign';
import { SignIn } from './parts/sign-in';
import { HealthPage } from './pages/health';

// The first page comes with the first script; each of the others when it is opened.
const ArchitecturePage = lazy(() => import('./pages/architecture'));
const PlatformPage = lazy(() => import('./pages/platform'));
const RoutesPage = lazy(() => import('./pages/routes'));
const EntriesPage = lazy(() => import('./pages/entries'));
const NodesPage = lazy(() => import('./pages/nodes'));
const ActivityPage = lazy(() => import('./pages/activity'));

const titles: Record<string, string> = { '/': 'System Health', '/routes': 'Routes', '/entries': 'Entries', '/nodes': 'Nodes', '/architecture': 'Architecture', '/platform': 'Platform', '/activity': 'Activity' };

export function App() {
  const [path] = useLocation();
  const { data, error, refetch } = useOverview();
  useEffect(() => {
    document.title = `${titles[path] ?? 'Not found'} · Forebay`;
  }, [path]);
  return (
    <>
      <a className="skip" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById('main')?.focus())}>
        Skip to the content
      </a>
      <header className="top">
        <Group gap={8} wrap="nowrap">
          <Mark />
          <Text fw={700}>Forebay</Text>
        </Group>
        <nav className="nav" aria-label="Pages">
          {Object.entries(titles)
            .filter(([to]) => to !== '/platform' || data?.may.platform)
            .map(([to, title]) => (
              <Link key={to} href={to} aria-current={path === to ? 'page' : undefined}>
                {title}
              </Link>
            ))}
        </nav>
        <Group gap={8} ml="auto">
          {data?.may.sign_in && <SignIn />}
          <LiveSign />
          <Scheme />
        </Group>
      </header>
      <main id="main" tabIndex={-1} style={{ outline: 'none' }}>
        {error && !data && (
          <Alert color="red" title="The node does not answer" mb="md">
            <Text size="sm">{error.message}. The page goes on trying.</Text>
            <Button mt="xs" size="xs" variant="default" onClick={() => refetch()}>
              Try now
            </Button>
          </Alert>
        )}
        <Suspense fallback={<Loader aria-label="The page is being loaded" />}>
          <Switch>
            <Route path="/" component={HealthPage} />
            <Route path="/routes" component={RoutesPage} />
            <Route path="/entries" component={EntriesPage} />
            <Route path="/nodes" component={NodesPage} />
            <Route path="/architecture" component={ArchitecturePage} />
            <Route path="/platform" component={PlatformPage} />
            <Route path="/activity" component={ActivityPage} />
            <Route>
              <Text>There is no such page.</Text>
            </Route>
          </Switch>
        </Suspense>
      </main>
    </>
  );
}

function Mark() {
  return (
    <svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0b7285" />
      <path d="M5 11h22M5 17q2.75-3 5.5 0t5.5 0 5.5 0 5.5 0M5 23q2.75-3 5.5 0t5.5 0 5.5 0 5.5 0" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" />
    </svg>
  );
}

function Scheme() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme('light') === 'dark';
  const label = dark ? 'Switch to light' : 'Switch to dark';
  return (
    <Tooltip label={label}>
      <ActionIcon variant="default" size="lg" aria-label={label} onClick={() => setColorScheme(dark ? 'light' : 'dark')}>
        <svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" aria-hidden="true">
          {dark ? (
            <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z" />
          ) : (
            <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z" />
          )}
        </svg>
      </ActionIcon>
    </Tooltip>
  );
}
