//go:build !unix

package upstream

type wire struct{}

func (cn *conn) initWire() {}

func (cn *conn) exchange(out []byte, await bool) (written int, err error) {
	return cn.nc.Write(out)
}
