// What holds for every page: nothing that axe finds, in light and in dark; no scrolling to the side at 375 px;
// nothing of a third party, nothing against the content security policy (the harness looks at both).
import AxeBuilder from '@axe-core/playwright'
import { call, check, cluster, invite, run } from './harness.mjs'

let made
const inside = (page) => `/clusters/${made.id}/${page}`

/** Loaded, drawn, and standing still. */
async function settled(page) {
  await page.locator('h1').first().waitFor({ state: 'attached' })
  await page.waitForFunction(() =>
    !document.querySelector('.mantine-Skeleton-root[data-visible], .mantine-Loader-root') &&
    document.getAnimations().every((animation) => animation.playState !== 'running'))
}

async function accessible(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze()
  const found = violations.map(({ id, help, nodes }) =>
    `${id}: ${help}\n${nodes.slice(0, 4).map(({ html, failureSummary }) => `    ${html}\n    ${failureSummary}`).join('\n')}`)
  return found.map((text) => `${what}: ${text}`)
}

async function narrow(page) {
  const [wide, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  return wide > inner ? [`at ${inner} px it is ${wide} px wide`] : []
}

const looks = (path, { then, until, ...options } = {}) => [options, async ({ page }) => {
  await page.goto(typeof path === 'function' ? path() : path)
  await settled(page)
  await then?.(page)
  await until?.(page)
  await settled(page)
  const findings = await accessible(page, 'light')
  await page.emulateMedia({ colorScheme: 'dark' })
  await settled(page)
  findings.push(...await accessible(page, 'dark'))
  await page.setViewportSize({ width: 375, height: 720 })
  await settled(page)
  findings.push(...await narrow(page))
  check(findings.length === 0, findings.join('\n'))
}]

const steps = {
  'the first load is small': async ({ page, context }) => {
    const session = await context.newCDPSession(page)
    await session.send('Network.enable')
    let bytes = 0
    session.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength })
    await page.goto('/')
    await settled(page)
    await page.getByRole('link', { name: made.name }).first().waitFor()
    console.log(`  ${Math.round(bytes / 1024)} KiB`)
    check(bytes > 20_000 && bytes < 300_000, `the first load takes ${bytes} bytes`)
  },
  'scripts of strangers do not run': async ({ page, offences }) => {
    await page.goto('/')
    await settled(page)
    const refused = await page.evaluate(() => new Promise((resume) => {
      addEventListener('securitypolicyviolation', ({ violatedDirective }) => resume(violatedDirective))
      const script = document.createElement('script')
      script.textContent = 'document.title = "run"'
      document.head.append(script)
      setTimeout(() => resume('nothing'), 5000)
    }))
    check(refused.startsWith('script-src'), `an inline script was stopped by ${refused}`)
    offences.length = 0
  },
  'sign-in': looks('/sign-in', { as: null }),
  'link': looks('/link#nothing', { as: null }),
  'clusters': looks('/clusters'),
  'create a cluster': looks('/clusters/new'),
  'overview': looks(() => inside('overview')),
  'connect': looks(() => inside('overview'), {
    then: (page) => page.getByRole('main').getByRole('button', { name: 'Connect' }).first().click(),
    until: (page) => page.getByRole('dialog').getByText('Get the certificate').waitFor(),
  }),
  'SQL users': looks(() => inside('users')),
  'databases': looks(() => inside('databases')),
  'SQL shell': looks(() => inside('sql')),
  'networking': looks(() => inside('networking')),
  'metrics': looks(() => inside('metrics')),
  'access': looks('/access'),
  'service accounts': looks('/access/service-accounts'),
  'groups': looks('/access/groups'),
  'folders': looks('/folders'),
  'organization': looks('/organization'),
  'audit log': looks('/audit'),
  'API explorer': looks('/explorer'),
  'nowhere': looks('/nowhere/at/all'),
}

run(steps, {
  before: async () => {
    made = await cluster('looked-at')
    await call('POST', `/api/v1/clusters/${made.id}/sql-users`, { name: 'keeper', password: 'correct horse battery' })
    await call('POST', `/api/v1/clusters/${made.id}/databases`, { name: 'shop' })
    await call('POST', '/api/v1/folders', { name: 'teams', parent_id: '' })
    await call('POST', '/api/v1/service-accounts', { name: 'robot', description: 'deploys', roles: [] })
    await invite('bob@example.com', ['CLUSTER_DEVELOPER'])
  },
})
