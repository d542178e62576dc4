package sink

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spoor-dev/spoor/finding"
)

// maxSecret bounds a file of secrets, in bytes.
const maxSecret = 64 << 10

// readSecrets are the lines of a file, without empty ones and those that begin with #. Errors name the file and nothing
// of what is in it. It is read anew for every message, so that a secret can be changed without a restart.
func readSecrets(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("%s: more than %d bytes are no secret", path, maxSecret)
	}
	var secrets []string
	for line := range bytes.Lines(b) {
		s := string(bytes.TrimSpace(line))
		if s == "" || s[0] == '#' {
			continue
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fmt.Errorf("%s: a secret has printable ASCII characters only", path)
		}
		secrets = append(secrets, s)
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%s: there is no secret in it", path)
	}
	return secrets, nil
}

// readSecret is the only secret of a file; "" if there is no file.
func readSecret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	all, err := readSecrets(path)
	if err != nil {
		return "", err
	}
	if len(all) > 1 {
		return "", fmt.Errorf("%s: %d secrets where one is used", path, len(all))
	}
	return all[0], nil
}

// said is what a stranger answered, for an error: cleaned, short, and without our secrets, which it may have repeated.
func said(answer string, secrets []string) string {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), url.QueryEscape(s), url.PathEscape(s)} {
			answer = strings.ReplaceAll(answer, form, "[secret]")
		}
	}
	return finding.Clean(strings.TrimSpace(answer), 200)
}

// address reads the URL of a receiver, from the configuration or a file. Errors never tell it: it may be a secret. Plain
// http is for private networks.
func address(direct, file string, private bool) (*url.URL, error) {
	if (direct == "") == (file == "") {
		return nil, errors.New("one of url and url_file is needed")
	}
	if file != "" {
		var err error
		if direct, err = readSecret(file); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(direct)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL is not https://host/…")
	case u.Scheme == "http" && !private:
		return nil, errors.New("the URL is not https, which is for private networks only")
	case u.User != nil:
		return nil, errors.New("the URL holds a user or a password, which belong into a file")
	}
	return u, nil
}

// hidden is what of an address no error may tell.
func hidden(u *url.URL) []string {
	if u.RequestURI() == "/" {
		return []string{u.String()}
	}
	return []string{u.String(), u.RequestURI()}
}
