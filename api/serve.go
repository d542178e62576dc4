package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

var (
	// ErrOpen is returned for a listener that strangers could reach on a server without keys.
	ErrOpen = errors.New("an address that others can reach, and no keys")
	// ErrDrain is returned by Serve where requests still ran when Config.Drain was over.
	ErrDrain = errors.New("requests were cut off")
)

// Listen opens the address to serve on. Only loopback is open to callers without keys. A certificate may be nil.
// Errors: ErrOpen, and those of the network.
func Listen(address string, keys *Keys, certificate *tls.Certificate) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if a, ok := l.Addr().(*net.TCPAddr); keys == nil && (!ok || !a.IP.IsLoopback()) {
		l.Close()
		return nil, fmt.Errorf("listen on %.100q: %w", address, ErrOpen)
	}
	if certificate != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	return l, nil
}

// Serve answers requests on l until ctx is done, then lets those that run finish, for Config.Drain at most, and returns
// when all have ended. It closes l. Errors: ErrDrain, and those of the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	hs := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: min(s.config.ReadTimeout, 10*time.Second),
		ReadTimeout:       s.config.ReadTimeout,
		WriteTimeout:      s.config.ReadTimeout + s.config.Timeout + 10*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- hs.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.draining.stopping.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Drain)
	defer cancel()
	err := hs.Shutdown(drain)
	<-ended
	if err != nil {
		return errors.Join(ErrDrain, hs.Close())
	}
	return nil
}
