// The gateway's listener against h2spec, and against clients that are slow on purpose (slowhttptest).
// Ends with "N passed, M failed"; what protocol.json explains is not a failure, and each explanation must be
// needed.
import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const H2SPEC = 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible'
const explained = JSON.parse(readFileSync(join(here, 'protocol.json')))
const temp = mkdtempSync(join(tmpdir(), 'forebay-protocol-'))

function must (command, args, env = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env }, cwd: join(here, '..') })
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.error ?? done.stderr}`)
  return done.stdout
}

// run does not hold up the origin, which lives in this process.
function run (command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    let out = ''
    child.stdout.on('data', data => { out += data })
    child.on('error', reject)
    child.on('exit', () => resolve(out))
  })
}

function origin () {
  return new Promise(resolve => {
    const server = createServer((req, res) => { req.resume(); res.end('hello') })
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}

function gateway (url) {
  const child = spawn(join(temp, 'forebay'), ['serve', '--origin', url, '--addr', '127.0.0.1:0', '--admin', 'off'], { stdio: ['ignore', 'pipe', 'ignore'] })
  return new Promise((resolve, reject) => {
    let said = ''
    child.stdout.on('data', data => {
      said += data
      const found = said.match(/gateway +http:\/\/127\.0\.0\.1:(\d+)/)
      if (found) resolve({ child, port: found[1] })
    })
    child.on('exit', () => reject(new Error('the gateway ended: ' + said)))
  })
}

// h2spec's report, each case by its section and number.
async function frames (port) {
  const report = join(temp, 'h2spec.xml')
  await run(join(temp, 'h2spec'), ['-h', '127.0.0.1', '-p', port, '-o', '3', '-j', report])
  const cases = []
  const text = readFileSync(report, 'utf8')
  for (const [, attributes, inside] of text.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const section = attributes.match(/package="([^"]*)"/)[1]
    const name = attributes.match(/classname="([^"]*)"/)[1]
    cases.push({ id: `${section}: ${name}`, ok: !/<(failure|error)/.test(inside ?? '') })
  }
  return cases
}

async function slow (port) {
  const kinds = { headers: ['-H', '-i', '5'], body: ['-B', '-i', '5', '-s', '8192'], read: ['-X', '-w', '1', '-y', '1', '-n', '5', '-z', '1', '-k', '1'], range: ['-R'] }
  const cases = []
  for (const [kind, args] of Object.entries(kinds)) {
    const out = await run('slowhttptest', [...args, '-c', '300', '-r', '100', '-l', '10', '-p', '2', '-u', `http://127.0.0.1:${port}/`])
    const seen = out.replace(/\x1b\[[0-9;]*m/g, '')
    cases.push({ id: `slowhttptest: ${kind}`, ok: /service available:\s+YES/.test(seen) && !/service available:\s+NO/.test(seen) })
  }
  return cases
}

let failed = 1
const server = await origin()
let running
try {
  must('go', ['build', '-o', join(temp, 'forebay'), './cmd/forebay'])
  must('go', ['install', H2SPEC], { GOBIN: temp })
  running = await gateway(`http://127.0.0.1:${server.address().port}`)
  const cases = [...await frames(running.port), ...await slow(running.port)]
  failed = 0
  for (const { id, ok } of cases) {
    if (ok && id in explained) console.log(`  NOT NEEDED  ${id}`)
    if (!ok) console.log(`  ${id in explained ? 'explained ' : 'FAILED    '} ${id}${id in explained ? ': ' + explained[id] : ''}`)
    if (ok === id in explained) failed++
  }
  console.log(`${cases.length - failed} passed, ${failed} failed`)
} finally {
  running?.child.kill()
  server.close()
  rmSync(temp, { recursive: true, force: true })
}
process.exit(failed === 0 ? 0 : 1)
