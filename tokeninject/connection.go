package tokeninject

import (
	"context"
	"net"
)

// connectionKey is where a request's context has the connection that it came over.
type connectionKey struct{}

// keptConn is a connection and what ends the contexts of its requests. net/http ends them when it sees the client go, but
// not where the client has begun its next request: the upstream's answer would be read for as long as it is silent.
type keptConn struct {
	conn net.Conn
	end  context.CancelFunc
}

// KeepConnection is for http.Server.ConnContext: requests know their connection by it. A gate cuts a request of HTTP/1 by
// closing its connection then; without, as under a BaseContext that can end, each request costs more.
func KeepConnection(ctx context.Context, conn net.Conn) context.Context {
	// The server may have called it for another gate. A context that can end would keep that of each connection for as
	// long as it lasts itself.
	if connectionOf(ctx) != nil || ctx.Done() != nil {
		return ctx
	}
	ctx, end := context.WithCancel(ctx)
	return context.WithValue(ctx, connectionKey{}, &keptConn{conn, end})
}

// connectionOf is the connection that a request came over; nil where nobody kept it, as with HTTP/3.
func connectionOf(ctx context.Context) *keptConn {
	conn, _ := ctx.Value(connectionKey{}).(*keptConn)
	return conn
}

// close closes the connection at once: TLS would first say goodbye, which takes its time where nobody listens.
func (k *keptConn) close() {
	defer k.end() // after it, so that no answer is brought to a good end
	conn := k.conn
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	_ = conn.Close() // an error says that it is closed already
}
