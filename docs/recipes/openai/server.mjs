// What OpenAI-compatible servers have in common: chat completions, streamed or not, with a call that is slow and costs
// money. It answers by repeating the last message, word by word.
import { createServer } from 'node:http'

const words = text => text.split(' ').map((word, i) => (i ? ' ' : '') + word)
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

createServer(async (req, res) => {
  let body = ''
  for await (const piece of req) body += piece
  if (req.method !== 'POST' || req.url !== '/v1/chat/completions') return res.writeHead(404).end()
  const { model, messages, stream } = JSON.parse(body)
  const content = messages.at(-1).content
  const made = { id: 'chatcmpl-1', created: 1, model }
  if (!stream) {
    await pause(300)
    res.setHeader('Content-Type', 'application/json')
    return res.end(JSON.stringify({ ...made, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] }))
  }
  res.setHeader('Content-Type', 'text/event-stream')
  const send = (delta, reason) => res.write(`data: ${JSON.stringify({ ...made, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`)
  for (const word of words(content)) {
    await pause(50)
    send({ content: word }, null)
  }
  send({}, 'stop')
  res.end('data: [DONE]\n\n')
}).listen(process.env.PORT ?? 5000, '127.0.0.1')
