// What the suite in a folder tests, as far as it applies to a proxy.
import { existsSync } from 'node:fs'

export async function load (folder) {
  const all = [...(await import(`${folder}/tests/index.mjs`)).default]
  const surrogate = `${folder}/tests/surrogate-control.mjs`
  if (existsSync(surrogate)) {
    const extra = (await import(surrogate)).default
    if (!all.some(suite => suite.id === extra.id)) all.push(extra)
  }
  return all.map(suite => ({ ...suite, tests: suite.tests.filter(test => !test.browser_only) }))
}

// score counts what passed, by kind, and names what did not.
export function score (suites, results) {
  const by = { required: { passed: 0, of: 0, failed: [] }, optimal: { passed: 0, of: 0, failed: [] }, check: { passed: 0, of: 0, failed: [] } }
  for (const suite of suites) {
    for (const test of suite.tests) {
      const kind = by[test.kind ?? 'required']
      kind.of++
      if (results[test.id] === true) kind.passed++
      else kind.failed.push({ id: test.id, why: results[test.id] ? results[test.id].join(': ') : 'did not run' })
    }
  }
  return by
}
