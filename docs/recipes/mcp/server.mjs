// An MCP server that knows nothing of caches: its tools ask a slow source.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { createServer } from 'node:http'
import { z } from 'zod'

const partners = [{ id: 'p-1', org: 'acme', name: 'Northwind' }, { id: 'p-2', org: 'acme', name: 'Contoso' }]
const slowly = value => new Promise(resolve => setTimeout(resolve, 300, value))
const said = value => ({ content: [{ type: 'text', text: JSON.stringify(value) }] })

function server () {
  const mcp = new McpServer({ name: 'partners', version: '1.0.0' })
  mcp.registerTool('get_partners', { description: 'Partners of an organisation', inputSchema: { org: z.string() } },
    async ({ org }) => said(await slowly(partners.filter(p => p.org === org))))
  mcp.registerTool('rename_partner', { description: 'Rename a partner', inputSchema: { id: z.string(), name: z.string() } },
    async ({ id, name }) => {
      const partner = partners.find(p => p.id === id)
      if (!partner) return { isError: true, content: [{ type: 'text', text: 'no such partner' }] }
      partner.name = name
      return said(partner)
    })
  return mcp
}

createServer(async (req, res) => {
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
  res.on('close', () => transport.close())
  await server().connect(transport)
  await transport.handleRequest(req, res)
}).listen(process.env.PORT ?? 5000, '127.0.0.1')
