// node-postgres against the gateway. Reads where to connect from its first argument, JSON.
const assert = require('node:assert');
const fs = require('node:fs');
const { Client, Pool } = require('pg');

const at = JSON.parse(process.argv[2]);
const ca = fs.readFileSync(at.ca, 'utf8');
const base = { host: '127.0.0.1', port: at.port, user: at.user, password: at.password };
const named = (name) => ({ ca, servername: `${name}.${at.domain}` });
const byName = { ...base, database: 'defaultdb', ssl: named(at.routing_id) };
const byOption = { ...base, database: 'defaultdb', options: `--cluster=${at.routing_id}`, ssl: named('any') };
const byDatabase = { ...base, database: `${at.routing_id}.defaultdb`, ssl: named('any') };

async function using(config, work) {
  const client = new Client(config);
  // A session that is ended from the other side also says so outside of any query.
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const one = async (client, text, values) => Object.values((await client.query(text, values)).rows[0])[0];
const refused = (config, text) => assert.rejects(using(config, () => {}), new RegExp(text));

const checks = {
  async routing() {
    for (const config of [byName, byOption, byDatabase]) {
      await using(config, async (client) => assert.equal(await one(client, 'SELECT current_database()'), 'defaultdb'));
    }
    await refused({ ...byOption, options: '--cluster=nothing-such-1' }, 'not found');
  },
  async authentication() {
    await using({ ...byName, enableChannelBinding: true }, async (client) => assert.equal(await one(client, 'SELECT 1'), 1));
    await refused({ ...byName, password: 'not the password' }, 'password authentication failed');
    await refused({ ...byName, ssl: false, options: byOption.options }, 'requires TLS');
  },
  async prepared() {
    await using(byName, async (client) => {
      for (let n = 0; n < 100; n += 1) {
        assert.equal(await one(client, { name: 'plus', text: 'SELECT $1::int + 1', values: [n] }), n + 1);
      }
    });
  },
  async largeRows() {
    const text = '0123456789abcdef'.repeat(1 << 20);
    await using(byName, async (client) => assert.equal(await one(client, 'SELECT $1::text', [text]), text));
  },
  async transactions() {
    await using(byName, async (client) => {
      await client.query('BEGIN');
      await assert.rejects(client.query('SELECT 1/0'), /division by zero/);
      await client.query('ROLLBACK');
      assert.equal(await one(client, 'SELECT 1'), 1);
    });
  },
  async listen() {
    await using(byName, async (listener) => {
      const heard = new Promise((resolve) => listener.on('notification', (notice) => resolve(notice.payload)));
      await listener.query('LISTEN news');
      await using(byName, (speaker) => speaker.query("NOTIFY news, 'hello'"));
      assert.equal(await heard, 'hello');
    });
  },
  async pool() {
    const pool = new Pool({ ...byName, max: 5 });
    const answers = await Promise.all([...Array(50).keys()].map((n) => pool.query('SELECT $1::int AS n', [n])));
    assert.deepEqual(answers.map((answer) => answer.rows[0].n), [...Array(50).keys()]);
    await pool.end();
  },
};

(async () => {
  for (const [name, check] of Object.entries(checks)) {
    await check();
    console.log(name);
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
