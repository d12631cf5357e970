// The HTTP cache against the suite: node run.mjs [FOLDER] [--write]
// FOLDER holds an edition of http-cache-tests; default: the one in package.json. Ends with
// "N passed, M failed"; only what explained.json does not explain is a failure, and the edition in
// package.json alone has explanations that must all be needed.
import { spawn, execFileSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, readFileSync, writeFileSync, rmSync, existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { load, score } from './tests.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const args = process.argv.slice(2)
const write = args.includes('--write')
const pinned = join(here, 'node_modules/http-cache-tests')
const folder = resolve(args.find(arg => !arg.startsWith('--')) ?? pinned)
const explained = JSON.parse(readFileSync(join(here, 'explained.json')))
const temp = mkdtempSync(join(tmpdir(), 'forebay-conformance-'))
const binary = join(temp, 'forebay')
const started = []

// What the suite adds to each request for its own accounts: no origin's answer depends on it.
const own = 'ignore_headers: [Req-Num, Test-Name, Test-ID]\n'

function freePort () {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

function start (command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, cwd: folder, stdio: ['ignore', 'ignore', 'ignore'] })
  started.push(child)
  return child
}

async function answering (url) {
  for (let i = 0; i < 200; i++) {
    try {
      await fetch(url)
      return
    } catch {
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
  throw new Error(`${url} does not answer`)
}

function ask (base, ids) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--no-warnings', join(here, 'suite.mjs'), folder, base, ...ids], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', chunk => { out += chunk })
    child.on('error', reject)
    child.on('close', code => code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`the suite ended with ${code}`)))
  })
}

async function gateway (profile, origin) {
  const port = await freePort()
  const config = join(temp, `${profile}.yaml`)
  writeFileSync(config, `origin: ${origin}\nprofile: ${profile}\n${own}`)
  start(binary, ['serve', '--config', config, '--addr', `127.0.0.1:${port}`, '--admin', 'off'])
  const base = `http://127.0.0.1:${port}`
  await answering(base)
  return base
}

// Some tests wait for a second and a half of freshness: what fails is asked once more, by itself.
async function results (suites, profile, origin) {
  const base = await gateway(profile, origin)
  const all = await ask(base, [])
  const again = Object.values(score(suites, all)).flatMap(kind => kind.failed.map(test => test.id)).filter(id => profile === 'rfc' && !explained[id])
  const kinds = new Map(suites.flatMap(suite => suite.tests.map(test => [test.id, test.kind ?? 'required'])))
  const retry = again.filter(id => kinds.get(id) !== 'check')
  return retry.length > 0 ? { ...all, ...await ask(base, retry) } : all
}

function line (name, by) {
  return `${name.padEnd(28)} required ${String(by.required.passed).padStart(3)}/${by.required.of}   optimal ${String(by.optimal.passed).padStart(3)}/${by.optimal.of}   questions ${String(by.check.passed).padStart(2)}/${by.check.of}`
}

function peers (suites) {
  const dir = join(folder, 'results')
  if (!existsSync(dir)) return []
  return readdirSync(dir).filter(file => file.endsWith('.json') && !/chrome|firefox|safari/.test(file))
    .map(file => ({ name: `${file.slice(0, -5)} (the suite's own run)`, by: score(suites, JSON.parse(readFileSync(join(dir, file)))) }))
    .sort((a, b) => b.by.required.passed - a.by.required.passed)
}

async function main () {
  execFileSync('go', ['build', '-o', binary, './cmd/forebay'], { cwd: dirname(here), stdio: 'inherit' })
  const port = await freePort()
  start(process.execPath, ['server/server.mjs'], { npm_config_protocol: 'http', npm_config_port: String(port), npm_config_pidfile: join(temp, 'pid') })
  const origin = `http://127.0.0.1:${port}`
  await answering(`${origin}/index.html`)
  const suites = await load(folder)
  if (write) mkdirSync(join(here, 'results'), { recursive: true })
  const scores = {}
  let bad = 0
  for (const profile of ['rfc', 'safe']) {
    const found = await results(suites, profile, origin)
    scores[profile] = score(suites, found)
    if (write) writeFileSync(join(here, 'results', `forebay-${profile}.json`), JSON.stringify(found, null, 2) + '\n')
    console.log(line(`forebay, profile ${profile}`, scores[profile]))
    if (profile === 'safe') continue
    for (const kind of ['required', 'optimal']) {
      for (const test of scores.rfc[kind].failed) {
        if (!explained[test.id]) bad++
        console.log(`  ${explained[test.id] ? 'explained' : 'FAILED   '} ${kind} ${test.id}: ${test.why}`)
      }
    }
    for (const id of Object.keys(explained)) {
      if (folder === pinned && found[id] === true) {
        bad++
        console.log(`  FAILED    ${id} passes: take it out of explained.json`)
      }
    }
  }
  const others = peers(suites)
  for (const peer of others) console.log(line(peer.name, peer.by))
  if (write) document(scores, others)
  const counted = scores.rfc.required.passed + scores.rfc.optimal.passed
  console.log(`${counted} passed, ${bad} failed`)
  return bad === 0 ? 0 : 1
}

function document (scores, others) {
  const row = (name, by) => `| ${name} | ${by.required.passed} of ${by.required.of} | ${by.optimal.passed} of ${by.optimal.of} | ${by.check.passed} of ${by.check.of} |\n`
  const version = JSON.parse(readFileSync(join(folder, 'package.json'))).version
  let table = '| | required | optimal | questions |\n| --- | --- | --- | --- |\n'
  table += row('**Forebay, profile rfc**', scores.rfc) + row('Forebay, profile safe', scores.safe)
  for (const peer of others) table += row(peer.name, peer.by)
  let why = '| test | why it is not passed |\n| --- | --- |\n'
  for (const kind of ['required', 'optimal']) for (const test of scores.rfc[kind].failed) why += `| ${test.id} (${kind}) | ${explained[test.id] ?? ''} |\n`
  const file = join(here, '../docs/conformance.md')
  const text = readFileSync(file, 'utf8')
  const put = (text, name, body) => text.replace(new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- end -->)`), (_, a, b) => a + body + b)
  writeFileSync(file, put(put(text, 'scores', `http-cache-tests ${version}:\n\n${table}`), 'explained', why))
}

let code = 1
try {
  code = await main()
} finally {
  for (const child of started) child.kill()
  rmSync(temp, { recursive: true, force: true })
}
process.exit(code)
