package edge

import (
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// webSocketPath is where MQTT over WebSocket is served, as by other brokers.
const webSocketPath = "/mqtt"

// wantsWebSocket says that a request asks for MQTT over WebSocket (MQTT 5.0,
// section 6).
func (s *Server) wantsWebSocket(r *http.Request) bool {
	return s.cfg.MQTT != nil && r.ProtoMajor == 1 && r.URL.Path == webSocketPath && r.Header["Upgrade"] != nil
}

// serveWebSocket takes an HTTP/1.1 connection over for MQTT. A page may open one
// only to where it came from: its browser would show the device's certificate
// for any.
func (s *Server) serveWebSocket(c *connection, w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protoMQTT}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.metrics.refuse(reasonUpgrade)
		s.log.Debug("WebSocket refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	if ws.Subprotocol() != protoMQTT {
		s.metrics.refuse(reasonUpgrade)
		_ = ws.Close(websocket.StatusPolicyViolation, "offer the subprotocol mqtt")
		return
	}
	s.serveMQTT(c, &webSocketConn{websocket.NetConn(s.life, ws, websocket.MessageBinary), ws}, r.TLS)
}

// webSocketConn closes without waiting for the other side's goodbye.
type webSocketConn struct {
	net.Conn
	ws *websocket.Conn
}

func (c *webSocketConn) Close() error { return c.ws.CloseNow() }
