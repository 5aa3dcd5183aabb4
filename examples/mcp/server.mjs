// An MCP server with one tool. It knows nothing of tokens: the gate before it says who calls.
import http from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

function teaParty() {
  const server = new McpServer({ name: 'tea-party', version: '1.0.0' });
  server.registerTool('whoami', { description: 'Tells for whom you are calling' }, ({ requestInfo: { headers } }) => (
    { content: [{ type: 'text', text: `user: ${headers['x-user']}, client: ${headers['x-client']}` }] }
  ));
  return server;
}

const [host, port] = process.argv[2].split(':');
http.createServer(async (request, response) => {
  if (request.method !== 'POST') { // there is nothing to say unasked
    response.writeHead(405, { allow: 'POST' }).end();
    return;
  }
  const server = teaParty(); // one for each request: none remembers another
  response.on('close', () => server.close());
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  await server.connect(transport);
  await transport.handleRequest(request, response);
}).listen(Number(port), host);
