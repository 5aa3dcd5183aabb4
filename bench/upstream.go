package main

import (
	"bufio"
	"net"
)

const upstreamAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"

// serveUpstream answers every request on a listener alike, until it is closed. It takes requests without a body.
func serveUpstream(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go answerAll(conn)
	}
}

func answerAll(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReaderSize(conn, 16<<10)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) > 2 {
			continue // of the header, which ends with an empty line
		}
		if _, err := conn.Write([]byte(upstreamAnswer)); err != nil {
			return
		}
	}
}
