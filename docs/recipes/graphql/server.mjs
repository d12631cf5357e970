// A GraphQL API over POST that knows nothing of caches: its partners come from a slow source.
import { buildSchema } from 'graphql'
import { createHandler } from 'graphql-http/lib/use/http'
import { createServer } from 'node:http'

const partners = [{ id: 'p-1', name: 'Northwind' }, { id: 'p-2', name: 'Contoso' }]
const slowly = value => new Promise(resolve => setTimeout(resolve, 300, value))

const handler = createHandler({
  schema: buildSchema(`
    type Partner { id: ID!, name: String! }
    type Query { partners: [Partner!]! }
    type Mutation { rename(id: ID!, name: String!): Partner }
  `),
  rootValue: {
    partners: () => slowly(partners),
    rename: ({ id, name }) => {
      const partner = partners.find(p => p.id === id)
      if (partner) partner.name = name
      return partner
    }
  }
})

createServer(handler).listen(process.env.PORT ?? 5000, '127.0.0.1')
