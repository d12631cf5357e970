// Runs the suite's client against a proxy, and prints what each test came to as JSON:
//   node suite.mjs FOLDER BASE [ID…]
// It is a process of its own because the suite keeps its results in its modules.
const [folder, base, ...ids] = process.argv.slice(2)
const { load } = await import('./tests.mjs')
const { runTests, getResults } = await import(`${folder}/client/runner.mjs`)
const fetchModule = await import(`${folder}/node_modules/node-fetch/lib/index.mjs`).catch(() => import('node-fetch'))

const wanted = (await load(folder)).map(suite => ({
  ...suite, tests: suite.tests.filter(test => ids.length === 0 || ids.includes(test.id))
}))
console.log = () => {} // the suite talks on its way
await runTests(wanted, fetchModule.default, false, base)
process.stdout.write(JSON.stringify(getResults()))
