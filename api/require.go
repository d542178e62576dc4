package api

import "net/http"

// Require lets only those through to a handler who have a key of that scope, presented as for every other question or as
// the password of HTTP basic authentication, which browsers ask people for. Without keys (nil) everybody is let through:
// see Listen.
func (k *Keys) Require(scope Scope, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k == nil {
			h.ServeHTTP(w, r)
			return
		}
		secret := presented(r, "")
		if _, password, ok := r.BasicAuth(); ok {
			secret = password
		}
		key, ok := k.Find(secret)
		switch {
		case !ok:
			w.Header().Set("WWW-Authenticate", `Basic realm="spoor"`)
			http.Error(w, "a key is needed", http.StatusUnauthorized)
		case key.Scopes&scope == 0:
			http.Error(w, "the key is not for this", http.StatusForbidden)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
