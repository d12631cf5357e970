import { BaseEdge, EdgeLabelRenderer, getBezierPath, Handle, Position, ReactFlow, type Edge as FlowEdge, type EdgeProps, type Node, type NodeProps, useReactFlow } from '@xyflow/react';
import { useMediaQuery, useReducedMotion } from '@mantine/hooks';
import { memo, useEffect, useMemo } from 'react';
import type { Part, Topology } from '../api/client';
import { bytes, count, ms, none, percent, perSecond, span } from '../format';
import './picture.css';

export function figureText(f: Part['figures'][number]): string {
  if (f.unit === 'text') return f.text || none;
  if (f.value == null) return none;
  const { value } = f;
  switch (f.unit) {
    case 'per_second':
      return perSecond(value);
    case 'ms':
      return ms(value);
    case 'bytes':
      return bytes(value);
    case 'ratio':
      return percent(value);
    case 'seconds':
      return `${span(value)} ago`;
  }
  return count(value);
}

/** What stands in each box without opening it. */
const shown: Record<string, string[]> = {
  clients: ['requests'],
  front: ['requests', 'failed (5xx)'],
  near: ['hit rate', 'memory'],
  shared: ['breaker', 'p50'],
  log: ['lag', 'invalidations'],
  nodes: [],
  mcp: ['calls', 'hits'],
  origin: ['loads', 'load errors'],
  database: ['calls of the origin'],
};

// Where the parts stand: the way of a request in one line, what is beside it above and below.
const wide: Record<string, [number, number]> = {
  clients: [0, 130],
  front: [285, 130],
  near: [570, 130],
  shared: [860, 0],
  origin: [1150, 130],
  database: [1420, 130],
  log: [570, 290],
  nodes: [860, 290],
  mcp: [285, 0],
};
const narrow: Record<string, [number, number]> = {
  clients: [100, 0],
  front: [100, 130],
  near: [100, 260],
  shared: [220, 400],
  origin: [100, 540],
  database: [100, 670],
  log: [-120, 400],
  nodes: [-120, 540],
  mcp: [-120, 130],
};

// Edges that do not follow the way of a request leave and enter elsewhere: wide, narrow.
const sides: Record<string, { sourceHandle: string; targetHandle: string }[]> = {
  'log-near': [{ sourceHandle: 'up', targetHandle: 'below' }, { sourceHandle: 'up', targetHandle: 'below' }],
  'nodes-log': [{ sourceHandle: 'back', targetHandle: 'behind' }, { sourceHandle: 'up', targetHandle: 'below' }],
};

type PartNode = Node<{ part: Part; lit: boolean; note?: string; tall: boolean; open: () => void }, 'part'>;
type FlowsEdge = FlowEdge<{ rate: number; what: string; state: string; lit: boolean; still: boolean }, 'flows'>;

interface Props {
  topology: Topology;
  /** The parts that a followed request is at, or has passed. */
  lit: string[];
  note?: { part: string; text: string };
  onPick: (id: string) => void;
}

/** How the picture stands: upright on a narrow screen. */
const useTall = () => useMediaQuery('(max-width: 760px)') ?? false;
const heightOf = (tall: boolean) => (tall ? 640 : 400);

/** Room for the picture, until it is known what to draw. */
export const PictureToCome = () => <div className="card" style={{ height: heightOf(useTall()) }} />;

export const Picture = memo(function Picture({ topology, lit, note, onPick }: Props) {
  const tall = useTall();
  const still = useReducedMotion();
  const nodes = useMemo<PartNode[]>(
    () =>
      topology.parts.map((part) => {
        const [x, y] = (tall ? narrow : wide)[part.id] ?? [0, 0];
        return {
          id: part.id,
          type: 'part',
          position: { x, y },
          data: { part, lit: lit.includes(part.id), note: note?.part === part.id ? note.text : undefined, tall, open: () => onPick(part.id) },
          draggable: false,
          selectable: false,
          focusable: false,
          width: 180,
          height: 92,
        };
      }),
    [topology, lit, note, tall, onPick],
  );
  const edges = useMemo<FlowsEdge[]>(
    () =>
      topology.edges.map((e) => ({
        id: `${e.from}-${e.to}`,
        source: e.from,
        target: e.to,
        type: 'flows',
        focusable: false,
        ...(sides[`${e.from}-${e.to}`]?.[tall ? 1 : 0] ?? { sourceHandle: 'out', targetHandle: 'in' }),
        data: { rate: e.rate, what: e.what, state: e.state, still, lit: lit.includes(e.from) && lit.includes(e.to) },
      })),
    [topology, lit, still, tall],
  );
  return (
    <div className="card picture" style={{ height: heightOf(tall), padding: 0 }} role="group" aria-label="The parts and what flows between them; the same as a table is below">
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={nodeTypes}
        edgeTypes={edgeTypes}
        fitView
        fitViewOptions={{ padding: 0.06 }}
        minZoom={0.3}
        maxZoom={1.4}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        zoomOnScroll={false}
        panOnScroll={false}
        preventScrolling={false}
        panOnDrag={!tall}
        proOptions={{ hideAttribution: true }}
      >
        <Fit on={tall} />
      </ReactFlow>
    </div>
  );
});

/** Fits the picture again when its place changes. */
function Fit({ on }: { on: boolean }) {
  const { fitView } = useReactFlow();
  useEffect(() => {
    const fit = () => void fitView({ padding: 0.06 });
    const soon = setTimeout(fit, 50);
    addEventListener('resize', fit);
    return () => {
      clearTimeout(soon);
      removeEventListener('resize', fit);
    };
  }, [fitView, on]);
  return null;
}

const marks: Record<string, string> = { ok: '●', degraded: '▲', away: '✕', off: '○' };
const says: Record<string, string> = { ok: 'works', degraded: 'works in part', away: 'away', off: 'not configured' };

function Box({ data }: NodeProps<PartNode>) {
  const { part, lit, note, tall, open } = data;
  const figures = part.figures.filter((f) => shown[part.id]?.includes(f.name));
  const [into, out] = tall ? [Position.Top, Position.Bottom] : [Position.Left, Position.Right];
  return (
    <>
      <Handle id="in" type="target" position={into} isConnectable={false} />
      <Handle id="below" type="target" position={Position.Bottom} isConnectable={false} />
      <Handle id="behind" type="target" position={Position.Right} isConnectable={false} />
      <Handle id="up" type="source" position={Position.Top} isConnectable={false} />
      <Handle id="back" type="source" position={Position.Left} isConnectable={false} />
      <button type="button" className={`part part-${part.state}${lit ? ' lit' : ''} nodrag nopan`} onClick={open}>
        <span className="part-name">
          <span className={`state-${part.state}`} aria-hidden="true">
            {marks[part.state]}
          </span>
          {part.name}
          <span className="unseen">: {says[part.state]}.</span>
        </span>
        {part.state === 'off' ? (
          <span className="soft part-line">not configured</span>
        ) : part.state === 'away' ? (
          <span className="state-away part-line">away</span>
        ) : (
          figures.map((f) => (
            <span key={f.name} className="part-line">
              <span className="soft">{f.name}</span> {figureText(f)}
            </span>
          ))
        )}
        {part.state !== 'off' && part.state !== 'away' && figures.length === 0 && <span className="soft part-line">{part.detail}</span>}
      </button>
      {note && <div className="part-note">{note}</div>}
      <Handle id="out" type="source" position={out} isConnectable={false} />
    </>
  );
}

/** An edge as wide as what flows, on a logarithmic scale: 1 /s is thin, 10,000 /s is wide. */
export function widthOf(rate: number): number {
  return rate <= 0 ? 1.5 : 2 + 2 * Math.log10(1 + rate);
}

function Flow(props: EdgeProps<FlowsEdge>) {
  const { data } = props;
  const [path, x, y] = getBezierPath(props);
  if (!data) return null;
  const moves = data.rate > 0 && !data.still && data.state !== 'off';
  const width = widthOf(data.rate);
  return (
    <>
      <BaseEdge id={props.id} path={path} className={`flow flow-${data.rate > 0 ? data.state : data.state === 'ok' ? 'idle' : data.state}${data.lit ? ' lit' : ''}`} style={{ strokeWidth: width }} />
      {moves && <path d={path} className="flow-moves" style={{ strokeWidth: Math.max(1.5, width - 2), animationDuration: `${Math.max(0.35, 1.8 - 0.4 * Math.log10(1 + data.rate))}s` }} />}
      {data.what && data.state !== 'off' && (
        <EdgeLabelRenderer>
          <div className="flow-label" style={{ transform: `translate(-50%, -50%) translate(${x}px, ${y - 13}px)` }}>
            {perSecond(data.rate)}
            <span className="soft"> {data.what}</span>
          </div>
        </EdgeLabelRenderer>
      )}
    </>
  );
}

const nodeTypes = { part: memo(Box) };
const edgeTypes = { flows: memo(Flow) };
