// A backend of Node's http module. It remembers every request as it arrived and hands the list out at /seen, which
// empties it.
import http from 'node:http';

let seen = [];
http.createServer((request, response) => {
  if (request.url === '/seen') {
    response.end(JSON.stringify(seen));
    seen = [];
    return;
  }
  let body = '';
  request.on('data', (chunk) => { body += chunk; });
  request.on('end', () => {
    const pairs = (raw) => raw.reduce((all, item, i) => (i % 2 ? all : [...all, [item, raw[i + 1]]]), []);
    seen.push({
      method: request.method, url: request.url, body, headers: pairs(request.rawHeaders), trailers: pairs(request.rawTrailers),
    });
    response.end(`user=${request.headers['x-remote-user']}`);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
