// A device by MQTT.js: takes the steps that its argument tells, one after the
// other, and prints what came of each as a line of JSON.
const { readFileSync } = require('node:fs')
const { connectAsync } = require('mqtt')

const { url, options, files, steps } = JSON.parse(process.argv[2])
for (const name in files) options[name] = readFileSync(files[name])

const say = (what) => console.log(JSON.stringify(what))
const failed = (err) => say({ error: err.message, code: err.code })

const take = {
  publish: async (client, { topic, payload, qos }) => {
    await client.publishAsync(topic, payload, { qos })
    return { published: topic }
  },
  subscribe: async (client, { topic, qos }) => {
    const [granted] = await client.subscribeAsync(topic, { qos })
    return { granted: granted.topic, qos: granted.qos }
  },
  receive: (client) => client.next
}

async function main () {
  const client = await connectAsync(url, { ...options, reconnectPeriod: 0, connectTimeout: 10_000 }, false)
  client.next = new Promise((resolve) => {
    client.once('message', (topic, payload, packet) => resolve({ received: topic, payload: payload.toString(), qos: packet.qos }))
  })
  const closed = new Promise((resolve) => client.once('close', () => resolve({ error: 'closed' })))
  client.on('error', () => {}) // what it means for a step, the step says
  for (const step of steps) {
    await Promise.race([take[step.do](client, step), closed]).then(say, failed)
  }
  await client.endAsync(!client.connected)
}

main().catch(failed)
